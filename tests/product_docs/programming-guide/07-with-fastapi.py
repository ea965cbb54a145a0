import os
from dbos import DBOS, DBOSConfig
from fastapi import FastAPI
app = FastAPI()
config: DBOSConfig = {
    "name": "dbos-starter",
    "system_database_url": os.environ.get("DBOS_SYSTEM_DATABASE_URL"),
}
DBOS(config=config)
@DBOS.step()
def step_one():
    print("Step one completed!")
@DBOS.step()
def step_two():
    print("Step two completed!")
@app.get("/")
@DBOS.workflow()
def dbos_workflow():
    step_one()
    step_two()
if __name__ == "__main__":
    DBOS.launch()
    uvicorn.run(app, host="0.0.0.0", port=8000)
