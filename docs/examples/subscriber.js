// Frames of a running service in Node: npm install zeromq @msgpack/msgpack
// node subscriber.js ADDRESS [HOW MANY]
const { Subscriber } = require("zeromq");
const { decode } = require("@msgpack/msgpack");

async function main(address = "tcp://127.0.0.1:5555", howMany = "10") {
  const socket = new Subscriber();
  socket.connect(address);
  socket.subscribe("frame/");
  let left = Number(howMany);
  for await (const [, packed, payload] of socket) {
    const header = decode(packed, { useBigInt64: false });
    if (header.schema[0] !== 1) throw new Error(`this program reads schema 1, not ${header.schema}`);
    const bytes = payload.buffer.slice(payload.byteOffset, payload.byteOffset + payload.length);
    const pixels = header.dtype === "<f4" ? new Float32Array(bytes) : new Uint8Array(bytes);
    const [height, width] = header.shape;
    const mean = pixels.reduce((sum, value) => sum + value, 0) / pixels.length;
    console.log(`${header.stream} step ${header.step}: ${width}x${height}, mean ${mean.toFixed(4)}`);
    left -= 1;
    if (left === 0) break;
  }
  socket.close();
}

main(...process.argv.slice(2));
