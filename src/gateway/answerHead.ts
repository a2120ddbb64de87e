// Heads of answers on connections that stay open, as node:http writes them.
import { STATUS_CODES } from "node:http";
import { answerFields, type Fields } from "./exchange.ts";

export class AnswerHeads {
  readonly #stay: string;
  #second = -1;
  #date = "";
  /** Of the last usual answer. */
  #usualCommon: Fields | undefined;
  #usual = "";

  constructor(idleMsMax: number) {
    this.#stay = `Connection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(idleMsMax / 1000)}\r\n`;
  }

  /** With the empty line; `common` stand before `fields`. */
  text(status: number, fields: Fields, common: Fields, bodyBytes: number): string {
    let start: string;
    if (status === 200 && fields === answerFields) {
      if (this.#usualCommon !== common) {
        this.#usualCommon = common;
        this.#usual = startOf(status, fields, common);
      }
      start = this.#usual;
    } else start = startOf(status, fields, common);
    return `${start}Content-Length: ${bodyBytes}\r\nDate: ${this.#now()}\r\n${this.#stay}\r\n`;
  }

  /** As `text`, for a body in chunks. */
  chunked(status: number, fields: Fields, common: Fields): string {
    const start = startOf(status, fields, common);
    return `${start}Date: ${this.#now()}\r\n${this.#stay}Transfer-Encoding: chunked\r\n\r\n`;
  }

  #now(): string {
    const ms = Date.now();
    const second = Math.floor(ms / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#date = new Date(ms).toUTCString();
    }
    return this.#date;
  }
}

/** Header values are one line of printable ASCII. */
export function sound(value: string): string {
  return /^[\t -~]*$/.test(value) ? value : value.replace(/[^\t -~]/g, " ");
}

function startOf(status: number, fields: Fields, common: Fields): string {
  let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "unknown"}\r\n`;
  for (const [name, value] of [...common, ...fields]) text += `${name}: ${sound(value)}\r\n`;
  return text;
}
