# Code inside will run with a DBOS context available
with DBOSContextEnsure():
    # Call DBOS functions
    pass
