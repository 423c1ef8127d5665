import type { IncomingHttpHeaders } from 'node:http';
import { type Delivery, essence } from '../core/delivery.ts';
import { WebhookError } from '../core/errors.ts';
import type { Provider } from '../core/provider.ts';

// What a request's head tells, and what can be refused by it alone.

const UTF8_PARAMETER = /;\s*charset\s*=\s*("?)utf-?8\1\s*(?=;|$)/gi;

/** What can be refused before any secret is touched and any byte is read. */
export function refuseByHead(method: string | undefined, headers: IncomingHttpHeaders): void {
  if (method !== 'POST') {
    throw new WebhookError('method_not_allowed', { headers: { Allow: 'POST' } });
  }
  const encoding = headers['content-encoding']?.trim().toLowerCase() ?? 'identity';
  if (encoding !== 'identity') throw new WebhookError('content_encoding_unsupported');
  // A parser before payproof decodes by this unsigned parameter, and would read another body.
  const type = headers['content-type'] ?? '';
  if (type.includes(';') && /charset/i.test(type.replace(UTF8_PARAMETER, '')))
    throw new WebhookError('content_type_unsupported');
}

/** The essence of the content type, which must be there and be one of these. */
export function sentType(headers: IncomingHttpHeaders, types: readonly string[]): string {
  const contentType = essence(headers['content-type']);
  if (contentType === null || !types.includes(contentType)) {
    throw new WebhookError('content_type_unsupported');
  }
  return contentType;
}

/** What any provider sends. */
const CONTENT_TYPES = ['application/json', 'application/x-www-form-urlencoded'];

/** An unknown merchant's route takes what any provider sends, so that it answers like a known one. */
export function typesOf(providers: readonly Provider[]): readonly string[] {
  return providers.length > 0 ? providers.flatMap((one) => one.contentTypes) : CONTENT_TYPES;
}

/** A sender may write anything there, so only well-known types are repeated in a log. */
const KNOWN_TYPES = [...CONTENT_TYPES, 'multipart/form-data', 'text/plain'];

export function knownType(contentType: string | null): string | null {
  return contentType === null || KNOWN_TYPES.includes(contentType) ? contentType : 'other';
}

/** Node has made every name lower-case and unique, so there is nothing to look through. */
export function headerOf(headers: IncomingHttpHeaders): Delivery['header'] {
  return (name) => {
    const key = name.toLowerCase();
    const value = Object.hasOwn(headers, key) ? headers[key] : undefined;
    return Array.isArray(value) ? value.join(', ') : value;
  };
}
