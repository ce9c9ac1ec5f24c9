// node:crypto as oidc-provider knows it: with the function that Node 18 lacks.
import { createHash } from 'node:crypto';

export * from 'node:crypto';
export function hash(algorithm, data, encoding = 'hex') {
  const made = createHash(algorithm).update(data);
  return encoding === 'buffer' ? made.digest() : made.digest(encoding);
}
