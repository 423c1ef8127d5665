export type { ContractCase } from './testing/contract.ts';
export { storeContract } from './testing/contract.ts';
