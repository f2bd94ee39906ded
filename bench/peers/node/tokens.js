// PASETO v4.local (XChaCha20, keyed BLAKE2b), as Holdfast makes it:
// https://github.com/paseto-standard/paseto-spec/blob/master/docs/01-Protocol-Versions/Version4.md
//
// A token that was deciphered once is remembered, as Holdfast does.

import { createHash, timingSafeEqual } from "node:crypto";
import { xchacha20 } from "@noble/ciphers/chacha.js";
import { blake2b } from "@noble/hashes/blake2.js";

const HEADER = "v4.local.";
const TOKENS_MAX = 10_000;

function littleEndian64(value) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function preAuthenticationEncoding(pieces) {
  const parts = [littleEndian64(pieces.length)];
  for (const piece of pieces) parts.push(littleEndian64(piece.length), piece);
  return Buffer.concat(parts);
}

export class Tokens {
  constructor(paserk) {
    this.key = Buffer.from(paserk.replace("k4.local.", ""), "base64url");
    this.known = new Map();
  }

  /** Give the account that a token speaks for; null where it speaks for nobody. */
  verify(text) {
    const digest = createHash("sha256").update(text).digest("base64");
    let claims = this.known.get(digest);
    if (claims === undefined) {
      claims = this.decipher(text);
      if (claims === null) return null;
      if (this.known.size >= TOKENS_MAX) this.known.clear();
      this.known.set(digest, claims);
    }
    return Date.now() < claims.expires ? claims.account : null;
  }

  decipher(text) {
    if (!text.startsWith(HEADER)) return null;
    const [payloadText, footerText = ""] = text.slice(HEADER.length).split(".");
    const payload = Buffer.from(payloadText, "base64url");
    const footer = Buffer.from(footerText, "base64url");
    if (payload.length < 65) return null;
    const nonce = payload.subarray(0, 32);
    const sealed = payload.subarray(32, -32);
    const tag = payload.subarray(-32);
    const derived = blake2b(
      Buffer.concat([Buffer.from("paseto-encryption-key"), nonce]), { key: this.key, dkLen: 56 });
    const authKey = blake2b(
      Buffer.concat([Buffer.from("paseto-auth-key-for-aead"), nonce]), { key: this.key, dkLen: 32 });
    const signed = preAuthenticationEncoding(
      [Buffer.from(HEADER), nonce, sealed, footer, Buffer.alloc(0)]);
    if (!timingSafeEqual(blake2b(signed, { key: authKey, dkLen: 32 }), tag)) return null;
    const plain = xchacha20(derived.subarray(0, 32), derived.subarray(32), new Uint8Array(sealed));
    const claims = JSON.parse(Buffer.from(plain).toString());
    return { account: claims.sub, expires: Date.parse(claims.exp) };
  }
}
