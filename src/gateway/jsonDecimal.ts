// Whole numbers of JSON, exact to 64 bits: 12, -3, 1.0, 25e1, 1.5e1 are whole; 1.5 is not.

const plain = /^-?(0|[1-9]\d{0,14})$/;
const parts = /^(-?)(0|[1-9]\d*)(?:\.(\d+))?(?:[eE]([+-]?\d+))?/;
/** Beyond it no number of 64 bits is left, whatever its digits. */
const exponentMax = 5000;

/** @returns a number where that is exact; undefined for what is not whole. */
export function wholeNumber(text: string): number | bigint | undefined {
  if (plain.test(text)) return Number(text);
  const match = parts.exec(text);
  if (match === null || match[0].length !== text.length) return undefined;
  const [, sign = "", head = "", fraction = "", power = "0"] = match;
  const exponent = Number(power);
  if (Math.abs(exponent) > exponentMax) return undefined;
  const digits = head + fraction.replace(/0+$/, "");
  const zeros = exponent - (digits.length - head.length);
  const whole = zeros >= 0 ? digits + "0".repeat(zeros) : cut(digits, -zeros);
  if (whole === undefined) return undefined;
  return BigInt(`${sign}${whole || "0"}`);
}

/** The number at the beginning of a text, as a decoder that reads one token sees it. */
export function leadingNumber(text: string): string | undefined {
  const token = parts.exec(text)?.[0];
  if (token === undefined) return undefined;
  return /^[-+._0-9A-Za-z]/.test(text.slice(token.length)) ? undefined : token;
}

// Takes off `count` digits at the end, which must be zeros.
function cut(digits: string, count: number): string | undefined {
  const padded = digits.padStart(count, "0");
  return /^0*$/.test(padded.slice(-count)) ? padded.slice(0, -count) : undefined;
}
