@DBOS.step()
def step_one():
    print("Step one completed!")
@DBOS.step()
def step_two():
    print("Step two completed!")
@DBOS.workflow()
def workflow():
    step_one()
    step_two()
