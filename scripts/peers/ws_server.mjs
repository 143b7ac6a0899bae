// ws, broadcasting as in its README: `send` to each of a set of clients, one set per symbol.
//
// Started and stopped like the Python peers, see ticks.py. A tick is encoded once: from a string,
// ws would make a buffer for each client.

import { createServer } from 'node:http';
import { createRequire } from 'node:module';

// Resolved from the working directory, as the packages are not installed beside the source.
const { WebSocketServer, WebSocket } = createRequire(`${process.cwd()}/`)('ws');

const BACKLOG = 4096;
const [microseconds, count, order] = process.argv.slice(2);
const interval = Number(microseconds) / 1000;
const isSpread = order === 'spread';

let sent = 0;

class Ticker {
  constructor(symbol) {
    this.symbol = symbol;
    this.cents = 9_712_345;
    this.seq = 0;
    this.watchers = new Set();
    this.next();
  }

  next() {
    const now = Math.floor((performance.timeOrigin + performance.now()) * 1000);
    this.cents = Math.max(this.cents + Math.floor(Math.random() * 801) - 400, 100);
    this.seq += 1;
    sent = Math.max(now, sent + 1);
    const price = `${Math.floor(this.cents / 100)}.${String(this.cents % 100).padStart(2, '0')}`;
    this.newest = Buffer.from(
      `{"symbol":"${this.symbol}","price":${price},"timestamp":${Math.floor(now / 1000)},` +
        `"seq":${this.seq},"sent":${sent}}`,
    );
  }

  broadcast() {
    this.next();
    for (const client of this.watchers) {
      if (client.readyState === WebSocket.OPEN) client.send(this.newest, { binary: false });
    }
  }
}

const symbols = count
  ? Array.from({ length: Number(count) }, (_, n) => `sim:S${String(n).padStart(4, '0')}/USDT`)
  : ['sim:BTC/USDT'];
const market = new Map(symbols.map((symbol) => [symbol, new Ticker(symbol)]));
const tickers = [...market.values()];

function watched(url) {
  const asked = new URL(url, 'ws://localhost').searchParams.get('symbols');
  return asked ? asked.split(',').flatMap((symbol) => market.get(symbol) ?? []) : tickers;
}

const server = createServer();
const prices = new WebSocketServer({ server, perMessageDeflate: false });
prices.on('connection', (client, request) => {
  const mine = watched(request.url);
  client.on('error', () => {}); // a close follows
  client.on('close', () => mine.forEach((ticker) => ticker.watchers.delete(client)));
  for (const ticker of mine) {
    client.send(ticker.newest, { binary: false });
    ticker.watchers.add(client);
  }
});

// On a fixed grid; missed beats are skipped. All spread symbols that are due tick at a beat, but
// each at most once.
const step = isSpread ? interval / tickers.length : interval;
let done = 0, due = performance.now() + step;
const began = performance.now();

function broadcast() {
  if (!isSpread) {
    tickers.forEach((ticker) => ticker.broadcast());
    return;
  }
  const now = Math.floor((performance.now() - began) / step);
  for (let turn = Math.max(done, now - tickers.length); turn < now; turn += 1) {
    tickers[turn % tickers.length].broadcast();
  }
  done = now;
}

function beat() {
  const late = performance.now() - due;
  if (late >= 0) {
    broadcast();
    due += step * (Math.floor((performance.now() - due) / step) + 1);
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
