import { readdirSync, readFileSync } from 'node:fs';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { dexchange, hatexcard, hitpay, type Provider, verify } from '../../src/index.ts';
import { type SignedDelivery, signed } from '../../src/testing.ts';
import { code } from './code.ts';

// How long a comparison takes is measured by `npm run test:timing`. What is judged here does not depend
// on the machine: which function compares, what, and how often.

const { timingSafeEqual } = vi.hoisted(() => ({ timingSafeEqual: vi.fn() }));
vi.mock('node:crypto', async (original) => {
  const crypto = await original<typeof import('node:crypto')>();
  timingSafeEqual.mockImplementation(crypto.timingSafeEqual);
  return { ...crypto, timingSafeEqual };
});
beforeEach(() => {
  timingSafeEqual.mockClear();
});

const secret = 'right-secret-0123456789';
/** The one that fits is in the middle, so that it shows whether the others are tried as well. */
const rotated = ['older-secret-0123456789', secret, 'newer-secret-0123456789'];

interface Case {
  provider: Provider;
  delivery: SignedDelivery;
  /** The same delivery with another proof. */
  forged: SignedDelivery;
  /** Comparisons for each text that is tried. */
  comparisons?: number;
}

function withProof(delivery: SignedDelivery, header: string, proof: string): SignedDelivery {
  return { ...delivery, headers: { ...delivery.headers, [header]: proof } };
}

/** Another proof of the same form: the other digits are the right ones. */
function withOtherDigit(delivery: SignedDelivery, header: string): SignedDelivery {
  const proof = delivery.headers[header] as string;
  return withProof(delivery, header, proof.slice(0, -1) + (proof.endsWith('0') ? '1' : '0'));
}

const at = new Date();
const cases: Record<string, () => Case> = {
  'hatexcard/timestamped'() {
    const delivery = signed({ provider: 'hatexcard', scheme: 'timestamped', secret, at });
    const forged = withOtherDigit(delivery, 'x-hatex-signature');
    return { provider: hatexcard({ secret: rotated }), delivery, forged };
  },
  'hatexcard/body'() {
    const delivery = signed({ provider: 'hatexcard', scheme: 'body', secret, at });
    const forged = withOtherDigit(delivery, 'x-hatex-signature');
    return { provider: hatexcard({ secret: rotated }), delivery, forged };
  },
  'hitpay/form'() {
    const delivery = signed({ provider: 'hitpay', scheme: 'form', secret, at });
    const forged = {
      ...delivery,
      body: delivery.body.replace(/(hmac=[0-9a-f]{63})(.)/, (_, most, last) => {
        return most + (last === '0' ? '1' : '0');
      }),
    };
    return { provider: hitpay({ salt: rotated }), delivery, forged };
  },
  'hitpay/event'() {
    const delivery = signed({ provider: 'hitpay', scheme: 'event', secret, at });
    const forged = withOtherDigit(delivery, 'hitpay-signature');
    return { provider: hitpay({ eventSalt: rotated }), delivery, forged };
  },
  'dexchange/token'() {
    const delivery = signed({ provider: 'dexchange', scheme: 'token', secret, at });
    const forged = {
      ...delivery,
      path: delivery.path.replace(/.(?=.$)/, (last) => (last === 'A' ? 'B' : 'A')),
    };
    return { provider: dexchange({ token: { secret: rotated } }), delivery, forged };
  },
  'dexchange/bearer'() {
    const delivery = signed({ provider: 'dexchange', scheme: 'bearer', secret, at });
    const forged = withProof(delivery, 'authorization', `Bearer ${secret.slice(0, -1)}0`);
    return { provider: dexchange({ bearer: { token: rotated } }), delivery, forged };
  },
  'dexchange/signature'() {
    const header = 'x-dexchange-signature';
    const delivery = signed({ provider: 'dexchange', scheme: 'signature', header, secret, at });
    const forged = withOtherDigit(delivery, header);
    return { provider: dexchange({ signature: { header, secret: rotated } }), delivery, forged };
  },
};

function run({ provider }: Case, { headers, body, path }: SignedDelivery) {
  return verify(provider, { headers, body: Buffer.from(body), url: path, receivedAt: at });
}

describe.each(Object.entries(cases))('%s', (scheme, make) => {
  it('compares with every configured secret, by timingSafeEqual, where one fits', () => {
    const one = make();
    expect(run(one, one.delivery).keyId).toMatch(/#2$/);
    expect(timingSafeEqual).toHaveBeenCalledTimes(rotated.length);
  });

  it('compares whole MACs only, of one length', () => {
    const one = make();
    run(one, one.delivery);
    // This one is compared as the base64url text of a MAC.
    const length = scheme === 'dexchange/token' ? 43 : 32;
    for (const [left, right] of timingSafeEqual.mock.calls) {
      expect([left.length, right.length]).toEqual([length, length]);
    }
  });

  it('compares with every configured secret where none fits', () => {
    const one = make();
    expect(code(() => run(one, one.forged))).toMatch(/_mismatch$/);
    // The body of this scheme is tried as it came, and as the guide's receiver writes it again.
    const texts = scheme === 'hatexcard/body' ? 2 : 1;
    expect(timingSafeEqual).toHaveBeenCalledTimes(texts * rotated.length);
  });
});

it('there is one place that compares what a sender sent', () => {
  const uses = readdirSync(new URL('../../src', import.meta.url), { recursive: true })
    .map(String)
    .filter((name) => name.endsWith('.ts'))
    .filter((name) =>
      /timingSafeEqual\(/.test(readFileSync(new URL(`../../src/${name}`, import.meta.url), 'utf8')),
    );
  // The testing kit's one looks at its own probe.
  expect(uses.sort()).toEqual(['core/secrets.ts', 'testing/wiring.ts']);
});
