import { headerName, knownOptions } from '../core/options.ts';

/** The schemes that the kit can sign. */
export type Scheme =
  | 'hatexcard/timestamped'
  | 'hatexcard/body'
  | 'hitpay/form'
  | 'hitpay/event'
  | 'dexchange/token'
  | 'dexchange/bearer'
  | 'dexchange/signature';

interface Common {
  /**
   * The secret that the route under test has, as the provider shows it. `undefined` (an unset
   * environment variable) throws.
   */
  secret: string | undefined;
  /** The route's path, with its query if it has one. Default `/webhooks/<provider>`. */
  path?: string | undefined;
  /** When it is signed. Default: now. */
  at?: Date | undefined;
}

/** Who signs, and how: the provider, the scheme, and the secret that the route has. */
export type Signer =
  | (Common & {
      provider: 'hatexcard';
      /** `timestamped`: what Hatexcard sends today. `body`: up to July 2026. */
      scheme: 'timestamped' | 'body';
    })
  | (Common & {
      provider: 'hitpay';
      /** `form`: signed by the API key's salt. `event`: JSON, signed by the endpoint's own salt. */
      scheme: 'form' | 'event';
    })
  | (Common & {
      provider: 'dexchange';
      /** `token`: the proof in the URL that `callbackUrl` makes. */
      scheme: 'token';
    })
  | (Common & {
      provider: 'dexchange';
      /** `bearer`: `secret` is the static token. */
      scheme: 'bearer';
      /** As in `dexchange({ bearer })`. Default `authorization`. */
      header?: string | undefined;
    })
  | (Common & {
      provider: 'dexchange';
      /** `signature`: hex HMAC-SHA256 of the body in the header of the merchant's account. */
      scheme: 'signature';
      /** As in `dexchange({ signature })`. */
      header: string;
    });

/** The full name of a signer's scheme. */
export type SchemeOf<S extends Signer> = S extends Signer
  ? Extract<`${S['provider']}/${S['scheme']}`, Scheme>
  : never;

const SCHEMES: Readonly<Record<Scheme, readonly string[]>> = {
  'hatexcard/timestamped': [],
  'hatexcard/body': [],
  'hitpay/form': [],
  'hitpay/event': [],
  'dexchange/token': [],
  'dexchange/bearer': ['header'],
  'dexchange/signature': ['header'],
};

/** A signer whose options were checked, its defaults filled in. */
export interface CheckedSigner {
  readonly scheme: Scheme;
  readonly secret: string;
  readonly path: string;
  readonly at: Date;
  readonly header: string;
}

/**
 * @throws TypeError if an option is missing, wrong or unknown
 */
export function checkSigner(signer: Signer): CheckedSigner {
  knownOptions('signer', signer, ['provider', 'scheme', 'secret', 'path', 'at', 'header']);
  const scheme = `${signer.provider}/${signer.scheme}`;
  if (!isScheme(scheme)) throw new TypeError('signer: no such provider and scheme');
  const { secret, path = `/webhooks/${signer.provider}`, at = new Date() } = signer;
  if (typeof secret !== 'string' || secret === '') {
    throw new TypeError('secret: the secret is missing (is the environment variable set?)');
  }
  if (typeof path !== 'string' || !path.startsWith('/')) {
    throw new TypeError('path: must be the path of the route, such as /webhooks/hitpay');
  }
  if (!(at instanceof Date) || Number.isNaN(+at)) throw new TypeError('at: must be a valid Date');
  const { header } = signer as { header?: unknown };
  if (header !== undefined && !SCHEMES[scheme].includes('header')) {
    throw new TypeError(`header: not for ${scheme}`);
  }
  if (scheme === 'dexchange/signature' && header === undefined) {
    throw new TypeError('header: the name of the header that carries the signature is missing');
  }
  const name = header === undefined ? 'authorization' : headerName('header', header);
  return { scheme, secret, path, at, header: name };
}

/** Whether a text names a scheme in full. */
export function isScheme(text: string): text is Scheme {
  return Object.hasOwn(SCHEMES, text);
}
