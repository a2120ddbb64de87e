// --auto-tls: a key and a certificate that it signs itself, X.509 version 3 in DER (RFC 5280).
import { createHash, generateKeyPairSync, randomBytes, sign, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { unreachable } from "../base/assert.ts";
import type { OwnCertificate } from "./tls.ts";

const dayMs = 86_400_000;
/** As etcd's --self-signed-cert-validity. */
const validDays = 365;

const Tag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8: 0x0c,
  sequence: 0x30,
  set: 0x31,
  generalizedTime: 0x18,
} as const;

const oids = {
  organization: "55040a",
  ecdsaWithSha256: "2a8648ce3d040302",
  basicConstraints: "551d13",
  keyUsage: "551d0f",
  extendedKeyUsage: "551d25",
  subjectAltName: "551d11",
  serverAuth: "2b06010505070301",
  clientAuth: "2b06010505070302",
};

/** @param hosts names and addresses that the certificate is good for. */
export function makeCertificate(hosts: readonly string[], nowMs: number): OwnCertificate {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const algorithm = sequence(oid(oids.ecdsaWithSha256));
  const name = sequence(
    der(Tag.set, sequence(oid(oids.organization), der(Tag.utf8, Buffer.from("quorlet")))),
  );
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  const body = sequence(
    der(0xa0, der(Tag.integer, Buffer.from([2]))),
    der(Tag.integer, serial),
    algorithm,
    name,
    sequence(time(nowMs - dayMs), time(nowMs + validDays * dayMs)),
    name,
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, sequence(...extensions(hosts))),
  );
  const signature = sign("sha256", body, { key: privateKey, dsaEncoding: "der" });
  const cert = sequence(body, algorithm, bits(signature));
  return {
    cert: new X509Certificate(cert).toString(),
    key: `${privateKey.export({ type: "pkcs8", format: "pem" })}`,
  };
}

/** SHA-256 of a certificate, for a log line. */
export function fingerprintOf({ cert }: OwnCertificate): string {
  return createHash("sha256").update(new X509Certificate(cert).raw).digest("hex");
}

function extensions(hosts: readonly string[]): readonly Buffer[] {
  const names = hosts.map((host) =>
    isIP(host) === 0 ? der(0x82, Buffer.from(host, "latin1")) : der(0x87, addressBytes(host)),
  );
  const isIssuer = sequence(der(Tag.boolean, Buffer.from([0xff])));
  return [
    extension(oids.basicConstraints, isIssuer, true),
    // digitalSignature, keyCertSign: it vouches for itself where a client is told to trust it.
    extension(oids.keyUsage, der(Tag.bitString, Buffer.from([2, 0x84])), true),
    extension(oids.extendedKeyUsage, sequence(oid(oids.serverAuth), oid(oids.clientAuth)), false),
    extension(oids.subjectAltName, sequence(...names), false),
  ];
}

function extension(id: string, value: Buffer, isCritical: boolean): Buffer {
  const critical = isCritical ? [der(Tag.boolean, Buffer.from([0xff]))] : [];
  return sequence(oid(id), ...critical, der(Tag.octetString, value));
}

function addressBytes(host: string): Buffer {
  if (isIP(host) === 4) return Buffer.from(host.split(".").map(Number));
  const [head = "", tail] = host.replace(/%.*$/, "").split("::");
  const groups = (text: string): number[] =>
    text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16));
  const [first, last] = [groups(head), groups(tail ?? "")];
  const zeros = new Array<number>(Math.max(0, 8 - first.length - last.length)).fill(0);
  const all = [...first, ...zeros, ...last];
  if (all.length !== 8) unreachable(`${host} has 8 groups`);
  return Buffer.from(all.flatMap((group) => [group >> 8, group & 0xff]));
}

function time(ms: number): Buffer {
  const text = new Date(ms).toISOString().replace(/[-:T]/g, "").replace(/\.\d+/, "");
  return der(Tag.generalizedTime, Buffer.from(text, "latin1"));
}

const oid = (hex: string): Buffer => der(Tag.oid, Buffer.from(hex, "hex"));
const sequence = (...parts: readonly Buffer[]): Buffer => der(Tag.sequence, Buffer.concat(parts));
const bits = (bytes: Buffer): Buffer =>
  der(Tag.bitString, Buffer.concat([Buffer.from([0]), bytes]));

function der(tag: number, content: Buffer): Buffer {
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content]);
  const size = length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}
