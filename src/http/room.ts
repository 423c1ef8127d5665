import { EventEmitter } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { WebhookError } from '../core/errors.ts';
import { turn } from './turns.ts';
import { isWire } from './wire.ts';

/** Bytes for the unfinished bodies of all routes of this process together, unless a limit needs more. */
export const ROOM = 4 * 1024 * 1024;
/** So many bodies of any route's limit have room at once. */
const BODIES = 4;
/** Up to so many bytes a body takes no room, so that no crowd of larger ones can put it out. */
export const SMALL = 16 * 1024;
/** What Node needs for a chunk beside its bytes (430 measured): a sender can make chunks of a single byte. */
export const CHUNK = 512;
/** Seconds. */
const RETRY_AFTER = '10';

const EVENTS = ['end', 'error', 'aborted', 'close'] as const;

/** The bodies in the room by magnitude, so that one of the largest is found without a search. */
const magnitudes: Set<Place>[] = Array.from({ length: 34 }, () => new Set());
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

/** What one unfinished body takes of the room. */
export class Place {
  readonly #leave: (error: WebhookError) => void;
  #bytes = 0;

  /** @param leave called when the body has to leave */
  constructor(leave: (error: WebhookError) => void) {
    this.#leave = leave;
  }

  /** Takes more. When the room is full, one of the largest bodies has to leave; it may be this one. */
  take(bytes: number): void {
    this.#count(this.#bytes + bytes);
    while (taken > room) largest().#evict();
  }

  /** Gives back what it took for a time. */
  giveBack(bytes: number): void {
    this.#count(Math.max(0, this.#bytes - bytes));
  }

  /** Frees it. */
  leave(): void {
    this.#count(0);
  }

  /** RFC 9110 (15.5.14) has `Retry-After` where a body is too large only for now. */
  #evict(): void {
    this.leave();
    this.#leave(new WebhookError('body_too_large', { headers: { 'Retry-After': RETRY_AFTER } }));
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

/**
 * Stands between a request and the one who reads its body, passes on what comes, and counts it. When the
 * body has to leave the room, its reader gets the error.
 */
export class Valve extends EventEmitter {
  readonly #req: IncomingMessage;
  readonly #passing = new Map<string, (value: unknown) => void>();
  readonly #place: Place;
  #received = 0;
  #open = true;

  /** @param declared the length of the body as the sender told it; NaN if it did not */
  constructor(req: IncomingMessage, declared: number) {
    super();
    this.#req = req;
    this.#place = new Place((error) => {
      this.shut();
      // Whoever read it may have left already.
      if (this.listenerCount('error') > 0) this.emit('error', error);
    });
    for (const name of EVENTS) this.#passing.set(name, (value) => this.emit(name, value));
    this.#passing.set('data', (chunk) => {
      const { length } = chunk as Uint8Array;
      this.#received += length;
      this.emit('data', chunk);
      // With its last byte a body is whole, and soon gone.
      if (!this.#open || this.#received === declared) return;
      this.#place.take(length + CHUNK);
      if (this.#open && this.#received > SMALL && !req.complete) this.#wait();
    });
    // Before anybody listens, or the stream would begin.
    if (!req.complete) this.#rest();
    for (const [name, pass] of this.#passing) req.on(name, pass);
  }

  /**
   * A body that may be large begins when its turn comes, unless it came whole with its head. Where a thousand come at
   * once, Node would read 64 KB of each before anybody else is served: so the connection rests as well. (One of HTTP/2
   * carries others' requests, and sends no more of each than its window.)
   */
  async #rest(): Promise<void> {
    const req = this.#req;
    const wire = req.httpVersionMajor === 1 && isWire(req.socket) ? req.socket : undefined;
    // A host's stand-in for a connection may have neither.
    wire?.pause?.();
    await this.#wait();
    // Below its mark a read may be under way already, and no other would resume the connection. At the mark there is
    // none, and it goes on once some of what is buffered was taken: not earlier, or 64 KB more of each would wait here.
    if (req.readableLength < req.readableHighWaterMark) wire?.resume?.();
  }

  /** A large body goes on when its turn comes, so that a thousand of them do not hold up a small one. */
  async #wait(): Promise<void> {
    const req = this.#req;
    req.pause();
    // By then what came with the head, or with a chunk, was parsed.
    await new Promise(setImmediate);
    if (!req.complete) {
      const { readableLength = 0 } = req;
      // What is buffered takes room as well, until it passes.
      this.#place.take(readableLength);
      await turn();
      this.#place.giveBack(readableLength);
    }
    if (this.#open) req.resume();
  }

  /** Nothing more passes, and the room is free. */
  shut(): void {
    this.#open = false;
    for (const [name, pass] of this.#passing) this.#req.off(name, pass);
    this.#place.leave();
  }
}

function size(bytes: number): number {
  return bytes > SMALL ? bytes : 0;
}

/** Minus infinity, where no body is kept, for one that takes no room. */
function magnitude(bytes: number): number {
  return Math.floor(Math.log2(size(bytes)));
}

function largest(): Place {
  const crowd = magnitudes.findLast(({ size }) => size > 0) as Set<Place>;
  return crowd.values().next().value as Place;
}
