import type { ServerResponse } from 'node:http';
import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { whenGone, wireOf } from '../../src/http/wire.ts';

const response = (parts: object): ServerResponse => parts as ServerResponse;

describe('the wire of an answer', () => {
  it('is the stream of HTTP/2, else the connection, else nothing', () => {
    const [stream, socket] = [new PassThrough(), new PassThrough()];
    expect(wireOf(response({ stream, req: { socket } }))).toBe(stream);
    expect(wireOf(response({ req: { socket } }))).toBe(socket);
    expect(wireOf(response({ req: {} }))).toBeUndefined();
    expect(wireOf(response({}))).toBeUndefined();
  });

  it('tells all who wait that it is gone, but for those who ended that', () => {
    const wire = new PassThrough();
    const told: string[] = [];
    const [first] = ['a', 'b', 'c'].map((name) => whenGone(wire, () => told.push(name)));
    first?.();
    wire.emit('close');
    expect(told).toEqual(['b', 'c']);
  });

  it('has one listener for any number of requests', () => {
    const wire = new PassThrough();
    const before = wire.listenerCount('close');
    for (let n = 0; n < 100; n++) whenGone(wire, () => {});
    expect(wire.listenerCount('close')).toBe(before + 1);
  });

  it('that is not there is never gone', () => {
    expect(whenGone(undefined, () => {})()).toBeUndefined();
  });
});
