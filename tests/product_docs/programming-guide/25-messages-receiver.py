@DBOS.workflow()
def checkout_workflow():
    ... # Validate the order, then redirect customers to a payments service.
    payment_status = DBOS.recv(PAYMENT_STATUS)
    if payment_status is not None and payment_status == "paid":
        ... # Handle a successful payment.
    else:
        ... # Handle a failed payment or timeout.
