// A worker and a client of the SDK for TypeScript. A line of JSON on stdin is a call, a line on stdout its answer.
const readline = require('node:readline');
const { DBOS, DBOSClient, PortableWorkflowError } = require('@dbos-inc/dbos-sdk');

const portable = { serializationType: 'portable' };

DBOS.setConfig({
  name: 'typescript-app',
  systemDatabaseUrl: process.env.URL,
  applicationVersion: 'ts-1',
  executorID: 'typescript',
  logLevel: 'error',
});

async function echo(...values) {
  return values;
}

async function fail(message) {
  throw new PortableWorkflowError(message, 'OutOfStock', 'E42', { left: [1, null] });
}

async function failPlainly(message) {
  throw new TypeError(message);
}

async function converse(count) {
  const heard = [];
  for (let number = 0; number < count; number++) {
    const message = await DBOS.recv('questions', 60);
    heard.push(message);
    await DBOS.setEvent('last', message, portable);
    await DBOS.writeStream('heard', message, portable);
  }
  await DBOS.closeStream('heard');
  return heard;
}

for (const [name, workflow] of Object.entries({ echo, fail, failPlainly, converse })) {
  DBOS.registerWorkflow(workflow, { name, serialization: 'portable' });
}

const calls = {
  async enqueue(client, { options, positional, named }) {
    return (await client.enqueuePortable(options, positional, named)).workflowID;
  },
  async result(client, { id }) {
    try {
      return { value: await client.retrieveWorkflow(id).getResult() };
    } catch (error) {
      return { error: { name: error.name, message: error.message, code: error.code ?? null, data: error.data ?? null } };
    }
  },
  async send(client, { id, message, topic }) {
    await client.send(id, message, topic, undefined, portable);
  },
  async event(client, { id, key }) {
    return await client.getEvent(id, key, 30);
  },
  async stream(client, { id, key }) {
    const values = [];
    for await (const value of client.readStream(id, key)) values.push(value);
    return values;
  },
};

(async () => {
  await DBOS.launch();
  await DBOS.registerQueue('typescript-queue', {});
  const client = await DBOSClient.create({ systemDatabaseUrl: process.env.URL, applicationName: 'python-app' });
  console.log(JSON.stringify('ready'));
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { call, ...given } = JSON.parse(line);
    console.log(JSON.stringify((await calls[call](client, given)) ?? null));
  }
  await client.destroy();
  await DBOS.shutdown();
  process.exit(0);
})();
