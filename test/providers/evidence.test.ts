import { describe, expect, it } from 'vitest';
import { delivery } from '../../src/core/delivery.ts';
import { dexchange, diagnose, hatexcard, hitpay, type Provider } from '../../src/index.ts';
import { type SignedDelivery, signed } from '../../src/testing.ts';

// Each provider tells the diagnosis of its own schemes. What the diagnosis makes of it is tested in
// test/diagnosis; here, that the provider's part of it is there.

const at = new Date();
const secret = 'right-secret-0123456789';
const other = 'other-secret-0123456789';
const header = 'x-dexchange-signature';

const of = ({ headers, body, path }: SignedDelivery) => ({
  headers,
  body: Buffer.from(body),
  url: path,
  receivedAt: at,
});

const DELIVERIES: [scheme: string, provider: Provider, sent: SignedDelivery][] = [
  [
    'hatexcard/timestamped',
    hatexcard({ secret }),
    signed({ provider: 'hatexcard', scheme: 'timestamped', secret: other, at }),
  ],
  [
    'hatexcard/body',
    hatexcard({ secret }),
    signed({ provider: 'hatexcard', scheme: 'body', secret: other, at }),
  ],
  [
    'hitpay/form',
    hitpay({ salt: secret }),
    signed({ provider: 'hitpay', scheme: 'form', secret: other, at }),
  ],
  [
    'hitpay/event',
    hitpay({ eventSalt: secret }),
    signed({ provider: 'hitpay', scheme: 'event', secret: other, at }),
  ],
  [
    'dexchange/token',
    dexchange({ token: { secret } }),
    signed({ provider: 'dexchange', scheme: 'token', secret: other, at }),
  ],
  [
    'dexchange/bearer',
    dexchange({ bearer: { token: secret } }),
    signed({ provider: 'dexchange', scheme: 'bearer', secret: other, at }),
  ],
  [
    'dexchange/signature',
    dexchange({ signature: { header, secret } }),
    signed({ provider: 'dexchange', scheme: 'signature', header, secret: other, at }),
  ],
];

const OPTIONS: Record<string, string> = {
  'hatexcard/timestamped': 'secret',
  'hatexcard/body': 'secret',
  'hitpay/form': 'salt',
  'hitpay/event': 'eventSalt',
  'dexchange/token': 'token.secret',
  'dexchange/bearer': 'bearer.token',
  'dexchange/signature': 'signature.secret',
};

describe('what a provider tells the diagnosis', () => {
  it.each(DELIVERIES)('%s: enough to see that another secret signed', (_, provider, one) => {
    const diagnosis = diagnose(provider, of(one), { otherSecrets: other });
    expect(diagnosis).toMatchObject({ cause: 'secret_other', confidence: 'proven' });
  });

  it.each(DELIVERIES)('%s: the option that has the secret', (scheme, provider, one) => {
    const scene = { code: 'signature_mismatch', query: null, orders: [] } as const;
    const { clues = [] } = provider.evidence?.(delivery(of(one)), scene) ?? {};
    expect(clues.filter(({ proof }) => proof !== undefined)).toMatchObject([
      { option: OPTIONS[scheme], keys: [{ id: `${OPTIONS[scheme]}#1` }] },
    ]);
  });
});
