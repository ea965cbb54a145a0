# Code inside will run with `curuser` and `curroles`
with DBOSContextSetAuth(curuser, curroles):
    # Call DBOS functions
    pass
