// Shapes of the KV answers: as the server hands them to the encoders, and as clients get them.
import type { KeyValue } from "./kv.ts";

/** Header of an answer, as the encoders take it. */
export interface AnswerHeader {
  /** Encoded fields 1 and 2 (cluster id, member id); they never change: see `encodeHeaderIds`. */
  readonly ids: Uint8Array;
  /** 0 is left out. */
  readonly revision: number;
  readonly raftTerm: number;
}

/** Rows are encoded mvccpb.KeyValue messages, copied as they are. */
export interface RangeAnswer {
  readonly kind: "range";
  readonly revision: number;
  readonly rows: readonly Uint8Array[];
  readonly more: boolean;
  readonly count: number;
}

/** Parts are rows encoded as they stand in the answer, one after the other. */
export interface RangePartsAnswer {
  readonly revision: number;
  readonly parts: readonly Uint8Array[];
  readonly more: boolean;
  readonly count: number;
}

export interface PutAnswer {
  readonly kind: "put";
  readonly revision: number;
  readonly prevRow: Uint8Array | undefined;
}

export interface DeleteRangeAnswer {
  readonly kind: "deleteRange";
  readonly revision: number;
  readonly deleted: number;
  readonly prevRows: readonly Uint8Array[];
}

export interface TxnAnswer {
  readonly kind: "txn";
  readonly revision: number;
  readonly succeeded: boolean;
  readonly results: readonly OpAnswer[];
}

export type OpAnswer = RangeAnswer | PutAnswer | DeleteRangeAnswer | TxnAnswer;

/** Header of an answer, as clients get it. */
export interface ResponseHeader {
  readonly clusterId: bigint;
  readonly memberId: bigint;
  readonly revision: number;
  readonly raftTerm: number;
}

export interface RangeResponse {
  readonly header: ResponseHeader;
  readonly kvs: readonly KeyValue[];
  readonly more: boolean;
  readonly count: number;
}

export interface PutResponse {
  readonly header: ResponseHeader;
  readonly prevKv: KeyValue | undefined;
}

export interface DeleteRangeResponse {
  readonly header: ResponseHeader;
  readonly deleted: number;
  readonly prevKvs: readonly KeyValue[];
}

export type ResponseOp =
  | { readonly kind: "range"; readonly response: RangeResponse }
  | { readonly kind: "put"; readonly response: PutResponse }
  | { readonly kind: "deleteRange"; readonly response: DeleteRangeResponse }
  | { readonly kind: "txn"; readonly response: TxnResponse }
  /** No member of the oneof was set. */
  | { readonly kind: "none" };

export interface TxnResponse {
  readonly header: ResponseHeader;
  readonly succeeded: boolean;
  readonly responses: readonly ResponseOp[];
}

export interface CompactionResponse {
  readonly header: ResponseHeader;
}
