// @ts-check
// Faulty versions of payproof, as somebody could have written them: each is a change of the source and
// the tests that must fail on it. `npm run test:wrong` applies them one by one; `verifiers.test.ts`
// holds that each still applies.

const SECRETS = 'src/core/secrets.ts';
const HMAC = 'src/core/hmac.ts';
const FORM = 'src/core/form.ts';
const JSON_BODY = 'src/core/json.ts';
const MONEY = 'src/core/money.ts';
const EVENT = 'src/core/event.ts';
const HATEXCARD = 'src/providers/hatexcard.ts';
const HITPAY = 'src/providers/hitpay.ts';
const DEXCHANGE = 'src/providers/dexchange.ts';
const BODY = 'src/http/body.ts';
const PIPELINE = 'src/http/pipeline.ts';
const HEAD = 'src/http/head.ts';
const UPLOAD = 'src/http/upload.ts';
const ONCE = 'src/http/once.ts';
const CLAIM = 'src/http/claim.ts';

const CONSTANT_TIME = 'test/core/constant-time.test.ts';
const hmacTest = 'test/core/hmac.test.ts';
const secretsTest = 'test/core/secrets.test.ts';
const formTest = 'test/core/form.test.ts';
const hatexcardTest = 'test/providers/hatexcard.test.ts';
const hitpayTest = 'test/providers/hitpay.test.ts';
const dexchangeTest = 'test/providers/dexchange.test.ts';
const http2Test = 'test/http/http2.test.ts';
const onceTest = 'test/stores/once.test.ts';

/** @type {import('./verifiers.mjs').Wrong[]} */
export const WRONG = [
  // ---- Comparing ---------------------------------------------------------------------------------
  {
    name: 'compares signatures by ===',
    edits: [
      [
        SECRETS,
        'timingSafeEqual(COMPUTED, expected)',
        "COMPUTED.toString('hex') === Buffer.from(expected).toString('hex')",
      ],
    ],
    tests: CONSTANT_TIME,
  },
  {
    name: 'compares signatures by Buffer.equals',
    edits: [[SECRETS, 'timingSafeEqual(COMPUTED, expected)', 'COMPUTED.equals(expected)']],
    tests: CONSTANT_TIME,
  },
  {
    name: 'compares tokens by ===',
    edits: [
      [
        SECRETS,
        'return keyThat(keys, now, (key) => isToken(key, token));',
        'return keyThat(keys, now, (key) => key.export().toString() === token);',
      ],
    ],
    tests: CONSTANT_TIME,
  },
  {
    name: 'stops at the first secret that fits',
    edits: [
      [
        SECRETS,
        'if (fits(key.key) && isValid(key, now)) id ??= key.id;',
        'if (fits(key.key) && isValid(key, now)) return key.id;',
      ],
    ],
    tests: CONSTANT_TIME,
  },
  {
    name: 'tries only the first secret',
    edits: [
      [
        SECRETS,
        'if (fits(key.key) && isValid(key, now)) id ??= key.id;',
        'if (fits((keys[0] ?? key).key) && isValid(key, now)) id ??= key.id;',
      ],
    ],
    tests: secretsTest,
  },
  {
    name: 'compares the first half of a signature',
    edits: [
      [
        SECRETS,
        'timingSafeEqual(COMPUTED, expected)',
        'timingSafeEqual(COMPUTED.subarray(0, 16), expected.subarray(0, 16))',
      ],
    ],
    tests: secretsTest,
  },
  {
    name: 'does not check the length of a signature',
    edits: [
      [SECRETS, 'if (Buffer.byteLength(text) === 64) {', '{'],
      [SECRETS, 'if (bytes.length === 32) return bytes;', 'return bytes;'],
    ],
    tests: secretsTest,
  },
  {
    name: 'takes a signature with a tail',
    edits: [[SECRETS, 'Buffer.byteLength(text) === 64', 'true']],
    tests: secretsTest,
  },
  {
    name: 'takes the low byte of wide characters in a signature',
    edits: [[SECRETS, 'Buffer.byteLength(text) === 64', 'text.length === 64']],
    tests: secretsTest,
  },
  {
    name: 'takes no capital digits in a signature',
    edits: [[SECRETS, 'if (Buffer', 'if (!/[A-F]/.test(text) && Buffer']],
    tests: secretsTest,
  },
  {
    name: 'takes further spellings of a token',
    edits: [
      [
        SECRETS,
        'timingSafeEqual(COMPUTED_TEXT, expected)',
        "hmacSha256(key, ...parts).equals(Buffer.from(`${expected}`, 'base64url'))",
      ],
    ],
    tests: secretsTest,
  },
  {
    name: 'takes the low byte of wide characters in a token',
    edits: [[SECRETS, 'SENT_TEXT.write(signature)', "SENT_TEXT.write(signature, 'latin1')"]],
    tests: secretsTest,
  },
  {
    name: 'compares tokens of callback URLs by ===',
    edits: [
      [SECRETS, 'timingSafeEqual(COMPUTED_TEXT, expected)', '`${COMPUTED_TEXT}` === `${expected}`'],
    ],
    tests: CONSTANT_TIME,
  },
  {
    name: 'takes text for Latin-1 in a MAC',
    edits: [[HMAC, 'MESSAGE.write(part, end)', "MESSAGE.write(part, end, 'latin1')"]],
    tests: hmacTest,
  },
  {
    name: 'cuts a message off where its room ends',
    edits: [[HMAC, '(isText ? 3 : 1)', '1']],
    tests: hmacTest,
  },
  // ---- Secrets -----------------------------------------------------------------------------------
  {
    name: 'takes an empty secret',
    edits: [
      [
        SECRETS,
        "if (value.trim() === '') throw new TypeError(`${option}: the secret is empty`);",
        '',
      ],
    ],
    tests: secretsTest,
  },
  {
    name: 'takes the text undefined for a secret',
    edits: [
      [
        SECRETS,
        "if (value === undefined || value === null || value === 'undefined' || value === 'null') {",
        'if (value === undefined || value === null) {',
      ],
    ],
    tests: secretsTest,
  },
  {
    name: 'takes a secret with its line break',
    edits: [[SECRETS, 'if (value.trim() !== value) {', 'if (false) {']],
    tests: secretsTest,
  },
  {
    name: 'takes a secret after its end',
    edits: [[SECRETS, 'return now.getTime() <= notAfter;', 'return notAfter > 0;']],
    tests: secretsTest,
  },
  {
    name: 'takes NaN for a number within bounds',
    edits: [
      [
        'src/core/options.ts',
        'if (!(value >= min && value <= max)) {',
        'if (value < min || value > max) {',
      ],
    ],
    tests: 'test/core/options.test.ts',
  },
  // ---- Hatexcard ---------------------------------------------------------------------------------
  {
    name: 'computes the MAC over JSON.stringify of the parsed body',
    edits: [
      [
        HATEXCARD,
        'signingKey(keys, signature, receivedAt, `${timestamp}.`, body)',
        'signingKey(keys, signature, receivedAt, `${timestamp}.`, restringified(body) ?? body)',
      ],
    ],
    tests: hatexcardTest,
  },
  {
    name: 'authenticates the text of JSON.stringify and reads the event from the bytes',
    edits: [
      [
        HATEXCARD,
        "return normalise('hatexcard/body', textKeyId, documentIn(Buffer.from(text as string)));",
        "return normalise('hatexcard/body', textKeyId, documentIn(body));",
      ],
    ],
    tests: hatexcardTest,
  },
  {
    name: 'allows timestamps of the future',
    edits: [[HATEXCARD, 'if (!(Math.abs(age) <= tolerance))', 'if (!(age <= tolerance))']],
    tests: hatexcardTest,
  },
  {
    name: 'allows timestamps of any age',
    edits: [[HATEXCARD, 'if (!(Math.abs(age) <= tolerance))', 'if (Number.isNaN(age))']],
    tests: hatexcardTest,
  },
  {
    name: 'refuses the last second of the tolerance',
    edits: [[HATEXCARD, 'if (!(Math.abs(age) <= tolerance))', 'if (!(Math.abs(age) < tolerance))']],
    tests: hatexcardTest,
  },
  {
    name: 'reads a timestamp up to what is no digit',
    edits: [
      [
        HATEXCARD,
        "if (!/^[1-9]\\d{9}$/.test(timestamp)) throw new WebhookError('timestamp_invalid');",
        'timestamp = String(Number.parseInt(timestamp, 10));',
      ],
    ],
    tests: hatexcardTest,
  },
  {
    name: 'takes a signature that does not cover the timestamp',
    edits: [
      [
        HATEXCARD,
        'const keyId = signingKey(keys, signature, receivedAt, `${timestamp}.`, body);',
        'const keyId = signingKey(keys, signature, receivedAt, `${timestamp}.`, body) ?? signingKey(keys, signature, receivedAt, body);',
      ],
    ],
    tests: hatexcardTest,
  },
  {
    name: 'makes the identity of the id that changes with every retry',
    edits: [
      [
        HATEXCARD,
        "if (paymentId !== null) return eventId('hatexcard', kind, paymentId);",
        "if (paymentId !== null) return eventId('hatexcard', kind, paymentId, String(payload.id));",
      ],
    ],
    tests: hatexcardTest,
  },
  // ---- HitPay ------------------------------------------------------------------------------------
  {
    name: 'sorts the fields by locale',
    edits: [
      [
        HITPAY,
        'const names = namesInOrder(fields);',
        'const names = [...fields.keys()].sort((a, b) => a.localeCompare(b));',
      ],
    ],
    tests: hitpayTest,
  },
  {
    name: 'takes the first of two fields of one name',
    edits: [
      [FORM, "if (fields.size < pairs.length) throw new WebhookError('field_ambiguous');", ''],
      [
        FORM,
        'fields.set(name, pair.slice(end + 1));',
        'if (!fields.has(name)) fields.set(name, pair.slice(end + 1));',
      ],
    ],
    tests: formTest,
  },
  {
    name: 'takes the last of two fields of one name',
    edits: [
      [FORM, "if (fields.size < pairs.length) throw new WebhookError('field_ambiguous');", ''],
    ],
    tests: formTest,
  },
  {
    name: 'takes any body with the signed text',
    edits: [
      [HITPAY, "if (!isOnlyReading(names, fields)) throw new WebhookError('field_ambiguous');", ''],
    ],
    tests: hitpayTest,
  },
  {
    name: 'lets an unknown field stand behind the reference',
    edits: [[HITPAY, 'if (REFERENCES.has(before) || extra.has(before)) return false;', '']],
    tests: 'test/hitpay-form.test.ts',
  },
  {
    name: 'lets known names occur anywhere in the signed text',
    edits: [
      [
        HITPAY,
        'text.match(anyGuarded)?.length === guarded',
        '(text.match(anyGuarded)?.length ?? 0) >= guarded',
      ],
    ],
    tests: 'test/hitpay-form.test.ts',
  },
  {
    name: 'decodes a form twice',
    edits: [
      [
        FORM,
        'fields.set(name, pair.slice(end + 1));',
        "fields.set(name, decodeURIComponent(pair.slice(end + 1).replace(/%(?![0-9a-f]{2})/gi, '%25')));",
      ],
    ],
    tests: formTest,
  },
  {
    name: 'leaves the plus signs of a form',
    edits: [[FORM, 'if (byte === PLUS) return SPACE;', '']],
    tests: formTest,
  },
  {
    name: 'tells a refunded charge as a success',
    edits: [[HITPAY, "if (compareDecimals(refunded, '0') === 0) return type;", 'return type;']],
    tests: hitpayTest,
  },
  // ---- DExchange ---------------------------------------------------------------------------------
  {
    name: 'takes the token of one order for every order',
    edits: [
      [
        DEXCHANGE,
        'return hmacSha256(key, TOKEN_LABEL, externalTransactionId)',
        'return hmacSha256(key, TOKEN_LABEL, externalTransactionId.slice(0, 0))',
      ],
      [
        DEXCHANGE,
        '? signingKeyOfText(keys, token, delivery.receivedAt, TOKEN_LABEL + order)',
        '? signingKeyOfText(keys, token, delivery.receivedAt, TOKEN_LABEL)',
      ],
    ],
    tests: dexchangeTest,
  },
  {
    name: 'is content with one of the configured proofs',
    edits: [
      [
        DEXCHANGE,
        'const keyIds = proofs.map((proof) => proof.keyId(delivery, document));',
        'const there = proofs.filter((proof) => proof.isThere(delivery));\n      const keyIds = (there.length > 0 ? there : proofs).map((proof) => proof.keyId(delivery, document));',
      ],
    ],
    tests: dexchangeTest,
  },
  {
    name: 'can be constructed without any proof',
    edits: [[DEXCHANGE, 'if (first === undefined) {', 'if (false) {']],
    tests: dexchangeTest,
  },
  {
    name: 'believes a claimed success that the API calls pending',
    edits: [
      [
        DEXCHANGE,
        "if (event.type === 'payment.succeeded' && type !== 'payment.succeeded') {",
        'if (false) {',
      ],
    ],
    tests: dexchangeTest,
  },
  {
    name: 'keeps the amount of the callback where the API tells another',
    edits: [[DEXCHANGE, 'amount: money(answer.AMOUNT, CURRENCY),', '']],
    tests: dexchangeTest,
  },
  {
    name: 'puts any id in the URL of the API',
    edits: [
      [
        DEXCHANGE,
        'if (paymentId === null || !TRANSACTION_ID.test(paymentId)) {',
        'if (paymentId === null) {',
      ],
    ],
    tests: dexchangeTest,
  },
  {
    name: 'follows a redirect with the API key',
    edits: [[DEXCHANGE, "redirect: 'error',", "redirect: 'follow',"]],
    tests: dexchangeTest,
  },
  {
    name: 'reads an answer of the API of any size',
    edits: [[DEXCHANGE, "if (size > MAX_ANSWER) throw new RangeError('answer too large');", '']],
    tests: dexchangeTest,
  },
  // ---- Decoding ----------------------------------------------------------------------------------
  {
    name: 'computes minor units by parseFloat',
    edits: [
      [
        MONEY,
        'const minorUnits = Number(inMinorUnits(value, known.zeros));',
        'const minorUnits = Math.floor(Number.parseFloat(value) * 10 ** known.zeros.length);',
      ],
    ],
    tests: 'test/core/money.test.ts',
  },
  {
    name: 'takes every finite number for an amount',
    edits: [
      [
        MONEY,
        'if (!PLAIN.test(value) || Object.is(amount, -0)) return null;',
        'if (!Number.isFinite(Number(value))) return null;',
      ],
    ],
    tests: 'test/core/money.test.ts',
  },
  {
    name: 'takes amounts that JSON.parse has rounded',
    edits: [[JSON_BODY, 'return isDoubtful ? withoutInexact(text) : value;', 'return value;']],
    tests: 'test/core/json.test.ts',
  },
  {
    name: 'takes the first number of a name for the one that holds',
    edits: [[JSON_BODY, ' || Number(number) !== fields[name]', '']],
    tests: 'test/core/json.test.ts',
  },
  {
    name: 'takes a number in another object for the one that is read',
    edits: [[JSON_BODY, "beginning[MEMBER.lastIndex] === '{'", 'false']],
    tests: 'test/core/json.test.ts',
  },
  {
    name: 'takes a body that names a field twice for one that JSON.stringify wrote',
    edits: [[JSON_BODY, ' || names.includes(name)', '']],
    tests: 'test/providers/hatexcard.test.ts',
  },
  {
    name: 'looks for amounts in capitals only',
    edits: [
      [DEXCHANGE, "if (name === 'AMOUNT' || name === 'FEE') told.hasOtherAmounts = true;", ''],
    ],
    tests: dexchangeTest,
  },
  {
    name: 'replaces faults of UTF-8',
    edits: [
      ['src/core/utf8.ts', "if (!isUtf8(bytes)) throw new WebhookError('body_malformed');", ''],
    ],
    tests: 'test/core/json.test.ts',
  },
  {
    name: 'takes a body of any depth',
    edits: [[JSON_BODY, "if (nested === Infinity) throw new WebhookError('body_malformed');", '']],
    tests: 'test/core/json.test.ts',
  },
  {
    name: 'takes a list or null at the top of a body',
    edits: [[JSON_BODY, "if (!isObject(value)) throw new WebhookError('body_malformed');", '']],
    tests: 'test/core/json.test.ts',
  },
  {
    name: 'is content with less money than the price',
    edits: [
      [
        EVENT,
        'compareDecimals(event.amount.value, amount) === 0;',
        'compareDecimals(event.amount.value, amount) <= 0;',
      ],
    ],
    tests: 'test/core/event.test.ts',
  },
  {
    name: 'is content with any currency',
    edits: [[EVENT, 'event.amount.currency === currency.toUpperCase() &&', '']],
    tests: 'test/core/event.test.ts',
  },
  // ---- The way of a request ----------------------------------------------------------------------
  {
    name: 'has another answer for a wrong signature than for a missing one',
    edits: [
      [
        'src/core/errors.ts',
        'signature_mismatch: [403, NOT_AUTHENTICATED],',
        "signature_mismatch: [403, 'The signature does not match.'],",
      ],
    ],
    tests: 'test/http/answers.test.ts',
  },
  {
    name: 'goes on to the handler without the error',
    edits: [['src/express.ts', 'if (!res.writableEnded) next(error);', 'next();']],
    tests: 'test/http/vectors.test.ts',
  },
  {
    name: 'lets a delivery through that Koa should have refused',
    edits: [
      [
        'src/koa.ts',
        'const { event, claim, bytes, run, fail } = await receive({',
        'let refusal: unknown;\n    const { event, claim, bytes, run, fail } = await receive({',
      ],
      [
        'src/koa.ts',
        '      url,\n    });\n    if (!run) {',
        '      url,\n    }).catch((error: unknown) => {\n      refusal = error;\n      return { event: {} as never, claim: {} as never, bytes: null, run: true, fail() {} };\n    });\n    if (refusal) return next();\n    if (!run) {',
      ],
    ],
    tests: 'test/http/vectors.test.ts',
  },
  {
    name: 'reads a body of any length',
    edits: [
      [
        BODY,
        'getRawBody((valve ?? req) as IncomingMessage, { limit, length }, (error, bytes) => {',
        'getRawBody((valve ?? req) as IncomingMessage, { length }, (error, bytes) => {',
      ],
    ],
    tests: 'test/http/body.test.ts',
  },
  {
    name: 'keeps as many unfinished bodies as come',
    edits: [['src/http/room.ts', 'while (taken > room) largest().#evict();', '']],
    tests: 'test/http/room.test.ts',
  },
  {
    name: 'compares what an earlier MAC left behind a shorter one',
    edits: [
      [SECRETS, ' && written === COMPUTED.length', ''],
      [SECRETS, ' && written === COMPUTED_TEXT.length', ''],
    ],
    tests: 'test/core/hmac.test.ts',
  },
  {
    name: 'counts only what has passed of a body, and not what waits',
    edits: [['src/http/room.ts', 'this.#place.take(readableLength);', '']],
    tests: 'test/http/room.test.ts',
  },
  {
    name: 'reads on when an upload is refused',
    edits: [
      [
        UPLOAD,
        "socket.removeAllListeners('data').once('data', () => socket.pause());",
        'socket.resume();',
      ],
    ],
    tests: 'test/http/upload.test.ts',
  },
  {
    name: 'handles what follows a refused upload in its packet',
    edits: [[PIPELINE, 'if (isTooLate)', 'if (isTooLate && false)']],
    tests: 'test/http/upload.test.ts',
  },
  {
    name: 'blames what came before a refused upload',
    edits: [[PIPELINE, 'if (isTooLate)', 'if (isEnding(req))']],
    tests: 'test/http/upload.test.ts',
  },
  {
    name: 'has the connection cut of an answer that is out',
    edits: [['src/express.ts', 'if (!res.writableEnded) next', 'next']],
    tests: 'test/http/dedupe.test.ts',
  },
  {
    name: 'waits for a body for ever',
    edits: [
      [
        BODY,
        "const timer = setTimeout(() => fail(new WebhookError('body_timeout')), bodyTimeout);",
        "const timer = setTimeout(() => fail(new WebhookError('body_timeout')), 2 ** 31 - 1);\n  timer.unref();\n  void bodyTimeout;",
      ],
    ],
    tests: 'test/http/body.test.ts',
  },
  {
    name: 'takes compressed bodies',
    edits: [
      [
        HEAD,
        "if (encoding !== 'identity') throw new WebhookError('content_encoding_unsupported');",
        '',
      ],
    ],
    tests: 'test/http/body.test.ts',
  },
  {
    name: 'takes a GET',
    edits: [[HEAD, "if (method !== 'POST') {", "if (method !== 'POST' && method !== 'GET') {"]],
    tests: 'test/http/body.test.ts',
  },
  {
    name: 'asks the first provider where none recognises the delivery',
    edits: [
      [
        'src/core/verify.ts',
        'providers.length === 1 ? providers[0] : providers.find((one) => one.recognizes(judged));',
        'providers.find((one) => one.recognizes(judged)) ?? providers[0];',
      ],
    ],
    tests: 'test/core/verify.test.ts',
  },
  {
    name: 'believes the body that a parser left, whatever was signed',
    edits: [
      [
        PIPELINE,
        "throw new WebhookError('body_consumed', { message: consumedAdvice });",
        "const { value } = { value: JSON.parse(Buffer.from(body.candidates[0] as Uint8Array).toString()) };\n  return { ...value, provider: judge.name, id: consumedAdvice, type: 'payment.succeeded' } as ProviderEvent;",
      ],
    ],
    tests: 'test/http/parsers.test.ts',
  },
  // ---- Once --------------------------------------------------------------------------------------
  {
    name: 'marks an event as done before the handler ran',
    edits: [
      [
        ONCE,
        '    const stale = await claim.isStale();\n',
        '    await claim.skip();\n    const stale = await claim.isStale();\n',
      ],
    ],
    tests: onceTest,
  },
  {
    name: 'holds a claim for ever that waits behind another answer',
    edits: [[CLAIM, 'const forget = whenGone(wire, onClose);', 'const forget = () => {};']],
    tests: onceTest,
  },
  {
    name: 'marks an event as done whatever the handler answered',
    edits: [[CLAIM, 'if (isDone) this', 'if (isFinished) this']],
    tests: onceTest,
  },
  {
    name: 'forgets a claim whose handler succeeded',
    edits: [[CLAIM, 'if (isDone) this.#finish();', 'if (isDone) this.#abandon();']],
    tests: onceTest,
  },
  {
    name: 'runs the handler while the store is down',
    edits: [
      [
        CLAIM,
        '.catch(() => {}),\n      );\n      throw error;',
        ".catch(() => {}),\n      );\n      if (error) return { status: 'claimed' };",
      ],
    ],
    tests: onceTest,
  },
  {
    name: 'runs the handler again for what was done',
    edits: [
      [
        ONCE,
        'await claim.rank();\n      return { ...admission, run: false,',
        'await claim.rank();\n      return { ...admission, run: true,',
      ],
    ],
    tests: onceTest,
  },
  {
    name: 'answers 200 to the same id with another amount',
    edits: [
      [
        ONCE,
        "case 'conflict':\n      throw new WebhookError('delivery_conflict');",
        "case 'conflict':\n      return { run: false, stale: false, claim: claim.handle() };",
      ],
    ],
    tests: onceTest,
  },
  {
    name: 'answers 200 while another delivery of the event is at work',
    edits: [
      [
        ONCE,
        "throw new WebhookError('delivery_in_progress', { headers: { 'Retry-After': `${seconds}` } });",
        'if (seconds > 0) return { run: false, stale: false, claim: claim.handle() };\n      break;',
      ],
    ],
    tests: onceTest,
  },
  {
    name: 'does not renew the claim of a slow handler',
    edits: [[CLAIM, 'this.#settle(() => this.#renew())', 'undefined']],
    tests: onceTest,
  },
  {
    name: 'leaves an event to a renewal that came after its release',
    edits: [
      [
        CLAIM,
        "if (this.#isReleased && result?.status === 'claimed') await this.release();",
        'void result;',
      ],
    ],
    tests: onceTest,
  },
  {
    name: 'runs an event again whose claim the store forgot',
    edits: [
      [
        CLAIM,
        "if (status === 'claimed' && (await this.#commit())) return;",
        'if (!status) return;',
      ],
    ],
    tests: onceTest,
  },
  {
    name: 'trusts a claim that is older than its lease',
    edits: [[ONCE, '!claim.isHeld', 'false']],
    tests: onceTest,
  },
  {
    name: 'takes undefined, thrown by the function that chooses the provider, for no failure',
    edits: [[PIPELINE, 'throw failed;', 'throw error;']],
    tests: 'test/http/thrown.test.ts',
  },
  {
    name: "answers with the 200 of an HTTP client's error",
    edits: [[PIPELINE, '!isSuccess(status) && !isSuccess(statusCode)', 'true']],
    tests: 'test/http/thrown.test.ts',
  },
  {
    name: 'marks an event as done whose handler threw, since a 200 was answered',
    edits: [['src/koa.ts', '      fail();\n', '']],
    tests: 'test/http/thrown.test.ts',
  },
  {
    name: 'goes by a status that was set after the answer',
    edits: [['src/http/wire.ts', 'Number(sent ?? res.statusCode)', 'Number(res.statusCode)']],
    tests: onceTest,
  },
  {
    name: 'HTTP/2: goes by a status that was set after the answer',
    edits: [['src/http/wire.ts', " ?? sentHeaders?.[':status'];", ';']],
    tests: http2Test,
  },
  {
    name: 'gives back what was done where the host has no connection',
    edits: [[CLAIM, 'end(true)', 'end(res.writableFinished)']],
    tests: 'test/http/hosts.test.ts',
  },
  {
    name: 'lets the lease run out after commitIn, though the transaction was rolled back',
    edits: [
      [
        CLAIM,
        '      this.#isCommitted = true;\n',
        '      this.#isCommitted = true;\n      clearInterval(this.#renewal);\n',
      ],
    ],
    tests: onceTest,
  },
  {
    name: 'waits for ever for its own claim where two middlewares share a store',
    edits: [[ONCE, 'before?.res === res', 'before?.res === null']],
    tests: onceTest,
  },
  {
    name: 'runs the handler by a claim that was given back, where two middlewares share a store',
    edits: [[ONCE, 'if (held.get(handle.key) === own) held.delete(handle.key);', '']],
    tests: onceTest,
  },
  {
    name: 'runs the handler by a claim that ran out, where two middlewares share a store',
    edits: [[ONCE, 'before?.res === res && before.claim.isHeld', 'before?.res === res']],
    tests: onceTest,
  },
  {
    name: 'goes on to the handler where even the status of what was thrown throws',
    edits: [[PIPELINE, '  } catch {\n    // Nothing can', '  } finally {\n    // Nothing can']],
    tests: 'test/http/thrown.test.ts',
  },
  {
    name: 'takes an empty rawBody for the body',
    edits: [[BODY, 'bytes && (bytes.length > 0 || !hasBody(req))', 'bytes']],
    tests: 'test/http/parsers.test.ts',
  },
  {
    name: 'waits within SQLite',
    edits: [['src/sqlite.ts', 'PRAGMA busy_timeout = 0', 'PRAGMA busy_timeout = 900']],
    tests: 'test/stores/sqlite.test.ts',
  },
  {
    name: 'lets claims wait in PostgreSQL for ever',
    edits: [['src/postgres.ts', 'const LOCK_TIMEOUT = 250', 'const LOCK_TIMEOUT = 0']],
    tests: 'test/stores/postgres.test.ts',
  },
  {
    name: 'takes the status of an envelope for that of the payment',
    edits: [[DEXCHANGE, 'if (isEnvelope && ', 'if (!told && isEnvelope && ']],
    tests: dexchangeTest,
  },
  {
    name: 'takes the empty key in disguise',
    edits: [[SECRETS, "if (value.includes('\\0'))", 'if (false)']],
    tests: secretsTest,
  },
  {
    name: 'keeps what arrives of a refused upload',
    edits: [[UPLOAD, '  req.push = () => false;\n', '']],
    tests: 'test/http/upload.test.ts',
  },
  {
    name: 'HTTP/2: marks an event as done whose stream was lost while its handler worked',
    edits: [[CLAIM, '!isLost && !this', '!this']],
    tests: http2Test,
  },
  {
    name: 'HTTP/2: leaves an upload that was reset where it is',
    edits: [[UPLOAD, 'return req.readableEnded ?', 'return req.complete ?']],
    tests: http2Test,
  },
  {
    name: 'HTTP/2: waits for ever for a client that takes no answer',
    edits: [[UPLOAD, 'stream.close(CANCEL);', '{}']],
    tests: http2Test,
  },
  {
    name: 'HTTP/2: closes the stream before the end of the answer is out',
    edits: [[UPLOAD, 'stream.state.localClose === 1', 'stream.writableFinished']],
    tests: http2Test,
  },
  {
    name: 'HTTP/2: takes a HEAD request for answered before it is',
    edits: [[UPLOAD, 'stream.headersSent && stream.writableEnded', 'stream.writableEnded']],
    tests: http2Test,
  },
  {
    name: 'HTTP/2: cuts a long answer that is being read',
    edits: [[UPLOAD, ' * (1 + stream.writableLength / WINDOW)', '']],
    tests: http2Test,
  },
  {
    name: 'HTTP/2: blames a parser for a sender that has left',
    edits: [[BODY, 'req.aborted || (', '(']],
    tests: http2Test,
  },
  {
    name: 'HitPay: takes the word of a request over that of its payments',
    edits: [[HITPAY, "const type = isDoubtful ? 'other' : told;", 'const type = told;']],
    tests: hitpayTest,
  },
  {
    name: 'HitPay: tells the price of a request of which less was paid',
    edits: [[HITPAY, 'paidOf(requested, exactly) : requested,', 'requested : requested,']],
    tests: hitpayTest,
  },
  {
    name: 'gives out a callback URL over which the token goes in clear',
    edits: [
      [
        DEXCHANGE,
        "url.protocol !== 'https:' && !(",
        "url.protocol !== 'https:' && url.protocol !== 'http:' && !(",
      ],
    ],
    tests: dexchangeTest,
  },
  {
    name: 'normalises any number of marks',
    edits: [['src/core/diagnosis/texts.ts', 'if (!isNormalizable(text)) return;', '']],
    tests: 'test/diagnosis/texts.test.ts',
  },
  {
    name: 'takes a transaction that was rolled back for processed',
    edits: [
      [
        CLAIM,
        '(await this.#release()) || !this.#isCommitted',
        '(await this.#release(), !this.#isCommitted)',
      ],
      [CLAIM, "if (status === 'done') await this.#raise", 'if (status) await this.#raise'],
    ],
    tests: onceTest,
  },
  {
    name: 'never gives up the claim of a process that died',
    edits: [
      [
        'src/memory.ts',
        'return entry !== undefined && entry.until > clock() ? entry : undefined;',
        'return entry;',
      ],
    ],
    tests: 'test/stores/memory.test.ts',
  },
  {
    name: 'lets anyone commit a claim',
    edits: [
      [
        'src/memory.ts',
        'return entry?.owner === owner ? entry : undefined;',
        'return owner ? entry : undefined;',
      ],
    ],
    tests: 'test/stores/contract.test.ts',
  },
];
