// ws, as its README broadcasts: `send` to each of the server's clients.
//
// Started and stopped like the Python peers, see ticks.py. The tick is encoded once: ws makes a
// buffer of a string for each client anew.

import { createServer } from 'node:http';
import { createRequire } from 'node:module';

// From where this is started, as the packages are not installed beside the source.
const { WebSocketServer, WebSocket } = createRequire(`${process.cwd()}/`)('ws');

const BACKLOG = 4096;
const interval = Number(process.argv[2]) / 1000;

let cents = 9_712_345, seq = 0, sent = 0;
let newest = nextTick();

function nextTick() {
  const now = Math.floor((performance.timeOrigin + performance.now()) * 1000);
  cents = Math.max(cents + Math.floor(Math.random() * 801) - 400, 100);
  seq += 1;
  sent = Math.max(now, sent + 1);
  const price = `${Math.floor(cents / 100)}.${String(cents % 100).padStart(2, '0')}`;
  return Buffer.from(
    `{"symbol":"sim:BTC/USDT","price":${price},"timestamp":${Math.floor(now / 1000)},` +
      `"seq":${seq},"sent":${sent}}`,
  );
}

const server = createServer();
const prices = new WebSocketServer({ server, perMessageDeflate: false });
prices.on('connection', (client) => {
  client.on('error', () => {}); // a close follows
  client.send(newest, { binary: false });
});

function broadcast() {
  newest = nextTick();
  for (const client of prices.clients) {
    if (client.readyState === WebSocket.OPEN) client.send(newest, { binary: false });
  }
}

// On a fixed grid; beats that were missed are left out.
let due = performance.now() + interval;
function beat() {
  const late = performance.now() - due;
  if (late >= 0) {
    broadcast();
    due += interval * (Math.floor((performance.now() - due) / interval) + 1);
  }
  schedule();
}

function schedule() {
  const wait = due - performance.now();
  if (wait <= 0) setImmediate(beat);
  else setTimeout(beat, Math.ceil(wait));
}

server.listen({ host: '127.0.0.1', port: 0, backlog: BACKLOG }, () => {
  console.error(`listening on 127.0.0.1:${server.address().port}`);
  schedule();
});
process.stdin.on('end', () => process.exit(0)).resume();
