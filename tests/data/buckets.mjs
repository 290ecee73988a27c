// Reads {"vectors": [{salt, id}]} from stdin and writes their buckets as a JSON array: the contract in Node.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

export function bucket(salt, id) {
  const head = createHash('sha256').update(`${salt}:${id}`, 'utf8').digest().readUInt32BE(0);
  return Math.floor((head * 10000) / 2 ** 32);
}

const { vectors } = JSON.parse(readFileSync(0, 'utf8'));
process.stdout.write(JSON.stringify(vectors.map(({ salt, id }) => bucket(salt, id))));
