import { EventEmitter } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { WebhookError } from '../core/errors.ts';

/** Bytes for the unfinished bodies of all routes of this process together, unless a limit needs more. */
export const ROOM = 4 * 1024 * 1024;
/** So many bodies of any route's limit have room at once. */
const BODIES = 4;
/** Up to so many bytes a body takes no room, so that no crowd of larger ones can put it out. */
export const SMALL = 16 * 1024;
/** What Node needs for a chunk beside its bytes: a sender can make chunks of a single byte. */
const CHUNK = 256;
/** Seconds. */
const RETRY_AFTER = '10';

const EVENTS = ['end', 'error', 'aborted', 'close'] as const;

/** The bodies in the room by magnitude, so that one of the largest is found without a search. */
const magnitudes: Set<Valve>[] = Array.from({ length: 34 }, () => new Set());
let room = ROOM;
let taken = 0;

/** Makes the room large enough for a route with this limit. */
export function ensureRoom(limit: number): void {
  room = Math.max(room, BODIES * limit);
}

/** How much of the room is taken, in bytes. */
export function roomTaken(): number {
  return taken;
}

/**
 * Stands between a request and the one who reads its body, passes on what comes, and counts it. When the
 * room is full, one of the largest bodies has to leave: its reader gets `body_too_large` with
 * `Retry-After`, as RFC 9110 (15.5.14) has it where a body is too large only for now.
 */
export class Valve extends EventEmitter {
  readonly #req: IncomingMessage;
  readonly #passing = new Map<string, (value: unknown) => void>();
  #bytes = 0;
  #open = true;

  constructor(req: IncomingMessage) {
    super();
    this.#req = req;
    for (const name of EVENTS) this.#passing.set(name, (value) => this.emit(name, value));
    this.#passing.set('data', (chunk) => {
      this.emit('data', chunk);
      if (this.#open) this.#take((chunk as Uint8Array).length + CHUNK);
    });
    for (const [name, pass] of this.#passing) req.on(name, pass);
  }

  /** Nothing more passes, and the room is free. */
  shut(): void {
    this.#open = false;
    for (const [name, pass] of this.#passing) this.#req.off(name, pass);
    this.#count(0);
  }

  #take(bytes: number): void {
    this.#count(this.#bytes + bytes);
    while (taken > room) largest().#evict();
  }

  #evict(): void {
    this.shut();
    const headers = { 'Retry-After': RETRY_AFTER };
    this.emit('error', new WebhookError('body_too_large', { headers }));
  }

  #count(bytes: number): void {
    const [from, to] = [magnitude(this.#bytes), magnitude(bytes)];
    taken += size(bytes) - size(this.#bytes);
    this.#bytes = bytes;
    if (from === to) return;
    magnitudes[from]?.delete(this);
    magnitudes[to]?.add(this);
  }
}

function size(bytes: number): number {
  return bytes > SMALL ? bytes : 0;
}

/** Minus infinity, where no body is kept, for one that takes no room. */
function magnitude(bytes: number): number {
  return Math.floor(Math.log2(size(bytes)));
}

function largest(): Valve {
  const crowd = magnitudes.findLast(({ size }) => size > 0) as Set<Valve>;
  return crowd.values().next().value as Valve;
}
