export type {
  DexchangeSample,
  HatexcardSample,
  HitPayEventSample,
  HitPayFormSample,
} from './testing/bodies.ts';
export type { ContractCase } from './testing/contract.ts';
export { storeContract } from './testing/contract.ts';
export type { NamedSample } from './testing/samples.ts';
export { samples } from './testing/samples.ts';
export type { SignedDelivery } from './testing/signed.ts';
export { signed } from './testing/signed.ts';
export type { Scheme, Signer } from './testing/signer.ts';
export { duplicate, expired, outOfOrder, recut, replayed, tampered } from './testing/variations.ts';
export type {
  Wired,
  WiringFinding,
  WiringOptions,
  WiringProblem,
  WiringReport,
} from './testing/wiring.ts';
export { checkWiring } from './testing/wiring.ts';
