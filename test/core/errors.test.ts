import { runInNewContext } from 'node:vm';
import { describe, expect, it, vi } from 'vitest';
import { isWebhookError, WebhookError, type WebhookErrorCode } from '../../src/index.ts';

const STATUSES: [code: WebhookErrorCode, status: number][] = [
  ['method_not_allowed', 405],
  ['body_timeout', 408],
  ['body_too_large', 413],
  ['content_type_unsupported', 415],
  ['content_encoding_unsupported', 415],
  ['body_aborted', 400],
  ['body_malformed', 400],
  ['body_consumed', 500],
  ['signature_missing', 403],
  ['signature_malformed', 403],
  ['signature_mismatch', 403],
  ['timestamp_invalid', 403],
  ['timestamp_out_of_tolerance', 403],
  ['token_missing', 403],
  ['token_mismatch', 403],
  ['field_ambiguous', 403],
  ['confirmation_mismatch', 403],
  ['provider_unrecognized', 403],
  ['delivery_conflict', 403],
  ['confirmation_unavailable', 503],
  ['store_unavailable', 503],
  ['delivery_in_progress', 409],
  ['payment_not_expected', 422],
];

describe('WebhookError', () => {
  it.each(STATUSES)('%s has status %i', (code, status) => {
    const error = new WebhookError(code);
    expect(error).toMatchObject({ name: 'WebhookError', code, status, statusCode: status });
    expect(error.expose).toBe(status < 500);
    expect(error.headers).toEqual({});
    expect(error.message).not.toBe('');
    expect(error).toBeInstanceOf(Error);
  });

  it('gives every failure of authenticity the same public answer', () => {
    const refusals = STATUSES.filter(([, status]) => status === 403);
    const answers = refusals.map(([code]) => {
      const { status, expose, message, headers, stack } = new WebhookError(code);
      return JSON.stringify({ status, expose, message, headers, stack });
    });
    expect(new Set(answers).size).toBe(1);
  });

  it('ignores a message below 500, so that nothing of the sender is shown', () => {
    expect(new WebhookError('body_malformed', { message: 'hostile' }).message).toBe(
      'The body is malformed.',
    );
  });

  it('takes a message that names the fix from 500 on', () => {
    expect(new WebhookError('body_consumed', { message: 'Move x.' }).message).toBe('Move x.');
    expect(new WebhookError('body_consumed').message).toMatch(/raw body is gone/);
  });

  it('has no stack frames, which Express would show to the client', () => {
    for (const [code] of STATUSES) {
      const error = new WebhookError(code);
      expect(error.stack).toBe(`WebhookError: ${error.message}`);
    }
  });

  it('keeps a cause for the log, and has none otherwise', () => {
    const cause = new Error('socket closed');
    expect(new WebhookError('store_unavailable', { cause }).cause).toBe(cause);
    expect('cause' in new WebhookError('store_unavailable')).toBe(false);
  });

  it('copies the headers of the answer', () => {
    const headers = { 'Retry-After': '5' };
    const error = new WebhookError('delivery_in_progress', { headers });
    headers['Retry-After'] = '6';
    expect(error.headers).toEqual({ 'Retry-After': '5' });
  });

  it.each([
    '',
    'nope',
    'toString',
    'constructor',
    '__proto__',
    'hasOwnProperty',
    undefined,
    5,
  ])('throws a TypeError for the code %j', (code) => {
    expect(() => new WebhookError(code as WebhookErrorCode)).toThrow(
      new TypeError('code: not a code of WebhookError'),
    );
  });

  it("leaves other errors' frames as they are", () => {
    const before = Error.stackTraceLimit;
    const { stack } = new WebhookError('signature_mismatch');
    expect(stack).not.toContain('\n');
    expect(Error.stackTraceLimit).toBe(before);
    expect(new Error('other').stack).toContain('errors.test');
  });

  it("leaves other errors' frames as they are also where it cannot be made", () => {
    const before = Error.stackTraceLimit;
    expect(() => new WebhookError('signature_mismatch', null as never)).toThrow(TypeError);
    expect(Error.stackTraceLimit).toBe(before);
  });

  it('is made, without frames, also where a host has frozen what is built in', () => {
    const { stackTraceLimit: value } = Error;
    Object.defineProperty(Error, 'stackTraceLimit', { writable: false });
    try {
      expect(new WebhookError('signature_mismatch').stack).not.toContain('\n');
    } finally {
      Object.defineProperty(Error, 'stackTraceLimit', { value, writable: true });
    }
    expect(Error.stackTraceLimit).toBe(value);
  });
});

describe('isWebhookError', () => {
  it('knows a WebhookError of another copy of the module', async () => {
    vi.resetModules();
    const copy = await import('../../src/core/errors.ts');
    const error = new copy.WebhookError('body_malformed');
    expect(error).not.toBeInstanceOf(WebhookError);
    expect(isWebhookError(error)).toBe(true);
    expect(copy.isWebhookError(new WebhookError('body_malformed'))).toBe(true);
  });

  it('knows a WebhookError of another realm', () => {
    const brand = "{ [Symbol.for('payproof.WebhookError')]: true }";
    expect(isWebhookError(runInNewContext(`Object.assign(new Error('x'), ${brand})`))).toBe(true);
  });

  it.each([
    [undefined],
    [null],
    ['WebhookError'],
    [403],
    [true],
    [{}],
    [{ name: 'WebhookError', code: 'body_malformed', status: 400 }],
    [{ [Symbol.for('payproof.WebhookError')]: 'yes' }],
    [new Error('x')],
    [() => 1],
  ])('is false for %j', (value) => {
    expect(isWebhookError(value)).toBe(false);
  });
});
