@DBOS.step()
def generate_choice():
    return random.randint(0, 1)
@DBOS.workflow()
def example_workflow(friend: str):
    choice = generate_choice()
    if choice == 0:
        step_one()
    else:
        step_two()
