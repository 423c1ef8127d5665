import type { ServerResponse } from 'node:http';
import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { sentStatus, whenGone, wireOf } from '../../src/http/wire.ts';

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

describe('the status that was sent', () => {
  const stream = Object.assign(new PassThrough(), { sentHeaders: { ':status': 200 } });

  it.each([
    ['the head of HTTP/1', { _header: 'HTTP/1.1 500 No\r\n\r\n', statusCode: 200 }, undefined, 500],
    ['the same in a tunnel through HTTP/2', { _header: 'HTTP/1.1 500 No\r\n\r\n' }, stream, 500],
    ['the headers of HTTP/2', { _header: true, statusCode: 500 }, stream, 200],
    ['what is set, where nothing was sent', { _header: null, statusCode: 404 }, undefined, 404],
  ])('is told by %s', (_, parts, wire, status) => {
    expect(sentStatus(response(parts), wire)).toBe(status);
  });
});
