// Branded numbers: what must not be swapped has a type of its own.
declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** Raft term, a safe integer from 0 (0: no term yet). */
export type Term = Brand<number, "Term">;
export const Term = (value: number): Term => value as Term;

/** Position in the Raft log, from 1; 0 stands for "before the first entry". */
export type LogIndex = Brand<number, "LogIndex">;
export const LogIndex = (value: number): LogIndex => value as LogIndex;

/** Main revision of the store: 1 when empty, plus one with every change. A safe integer. */
export type Revision = Brand<number, "Revision">;
export const Revision = (value: number): Revision => value as Revision;

/** Member id, unsigned 64 bits; 0 stands for "none". */
export type MemberId = Brand<bigint, "MemberId">;
export const MemberId = (value: bigint): MemberId => value as MemberId;
export const noMember: MemberId = MemberId(0n);

/** Lease id, signed 64 bits; 0 stands for "no lease". */
export type LeaseId = Brand<bigint, "LeaseId">;
export const LeaseId = (value: bigint): LeaseId => value as LeaseId;
export const noLease: LeaseId = LeaseId(0n);
