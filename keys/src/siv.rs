//! AES-256-SIV (RFC 5297) with a key that is expanded once.
//!
//! The very bytes that the crate `aes-siv` gives; a test compares the two. That one expands its key at each call and cannot
//! be shared between threads, which for a short value costs more than the sealing itself.

use aes::Aes256Enc;
use aes::cipher::consts::U16;
use aes::cipher::{Block, BlockBackend, BlockClosure, BlockEncrypt, BlockSizeUser, KeyInit};
use zeroize::Zeroize;

use crate::locked::{Pool, Pooled};

const BLOCK: usize = 16;
/// Blocks that the processor encrypts side by side.
const ABREAST: usize = 8;

/// Both expanded keys, and what follows from the first (RFC 4493 section 2.3).
pub struct Siv {
    mac: Aes256Enc,
    counter: Aes256Enc,
    whole: u128,
    padded: u128,
    /// CMAC of the zero block, with which S2V begins.
    zero: u128,
}

impl Siv {
    /// From 64 bytes: the first half authenticates, the second encrypts.
    pub fn new(key: &[u8; 64]) -> Self {
        let (first, second) = key.split_at(32);
        let mac = Aes256Enc::new(first.into());
        let mut block = Block::<Aes256Enc>::default();
        mac.encrypt_block(&mut block);
        let whole = double(u128::from_be_bytes(block.into()));
        block.as_mut_slice().zeroize();
        let mut siv = Self { mac, counter: Aes256Enc::new(second.into()), whole, padded: double(whole), zero: 0 };
        siv.zero = siv.cmac(0, &[0; BLOCK]);
        siv
    }

    /// Encrypts in place; returns the authenticator.
    pub fn encrypt(&self, context: &[&[u8]], text: &mut [u8]) -> [u8; BLOCK] {
        let tag = self.s2v(context, text).to_be_bytes();
        self.keystream(tag, text);
        tag
    }

    /// Decrypts in place; says whether it is authentic. If not, the ciphertext stands there again.
    pub fn decrypt(&self, context: &[&[u8]], tag: [u8; BLOCK], text: &mut [u8]) -> bool {
        self.keystream(tag, text);
        // One comparison of two numbers: its time tells nothing of where they differ.
        let authentic = self.s2v(context, text) == u128::from_be_bytes(tag);
        if !authentic {
            self.keystream(tag, text);
        }
        authentic
    }

    /// RFC 5297 section 2.4.
    fn s2v(&self, context: &[&[u8]], text: &[u8]) -> u128 {
        let mut state = self.zero;
        for parts in context.chunks(ABREAST) {
            for sum in self.cmacs(parts).iter().take(parts.len()) {
                state = double(state) ^ sum;
            }
        }
        let Some((before, last)) = text.split_last_chunk::<BLOCK>() else {
            return self.cmac(0, &(double(state) ^ padded(text)).to_be_bytes());
        };
        let last = (u128::from_be_bytes(*last) ^ state).to_be_bytes();
        // The last sixteen bytes may lie across two blocks.
        let (blocks, rest) = before.split_at(before.len() - before.len() % BLOCK);
        let mut end = [0; 2 * BLOCK];
        for (to, from) in end.iter_mut().zip(rest.iter().chain(&last)) {
            *to = *from;
        }
        let sum = self.chain(0, blocks);
        let sum = self.cmac(sum, end.get(..rest.len() + BLOCK).unwrap_or_default());
        end.zeroize();
        sum
    }

    /// CMAC (RFC 4493) of what was chained before and this text.
    fn cmac(&self, before: u128, text: &[u8]) -> u128 {
        let whole_blocks = text.len().saturating_sub(1) / BLOCK * BLOCK;
        let (blocks, last) = text.split_at(whole_blocks);
        let last = match <[u8; BLOCK]>::try_from(last) {
            Ok(last) => u128::from_be_bytes(last) ^ self.whole,
            Err(_) => padded(last) ^ self.padded,
        };
        let before = if blocks.is_empty() { before } else { self.chain(before, blocks) };
        self.chain(before, &last.to_be_bytes())
    }

    /// CMACs of up to [`ABREAST`] texts, block by block side by side: one chain after the other would wait for each block.
    fn cmacs(&self, texts: &[&[u8]]) -> [u128; ABREAST] {
        let (mut sums, mut rest) = ([0; ABREAST], [None; ABREAST]);
        for (to, text) in rest.iter_mut().zip(texts) {
            *to = Some(*text);
        }
        let mut blocks = [Block::<Aes256Enc>::default(); ABREAST];
        while rest.iter().any(Option::is_some) {
            let mut count = 0;
            for ((text, sum), block) in rest.iter().zip(&sums).filter(|(text, _)| text.is_some()).zip(&mut blocks) {
                *block = (sum ^ self.next_block(text.unwrap_or_default())).to_be_bytes().into();
                count += 1;
            }
            self.mac.encrypt_blocks(blocks.get_mut(..count).unwrap_or_default());
            let lanes = rest.iter_mut().zip(&mut sums).filter(|(text, _)| text.is_some());
            for ((text, sum), block) in lanes.zip(&blocks) {
                *sum = u128::from_be_bytes((*block).into());
                // The last block, whole or padded, is the end.
                *text = text.and_then(|text| text.get(BLOCK..)).filter(|text| !text.is_empty());
            }
        }
        sums
    }

    /// What CMAC takes in next of this text: a block, or the last one with what marks it (RFC 4493 section 2.4).
    fn next_block(&self, text: &[u8]) -> u128 {
        match text.split_first_chunk::<BLOCK>() {
            Some((block, rest)) => u128::from_be_bytes(*block) ^ if rest.is_empty() { self.whole } else { 0 },
            None => padded(text) ^ self.padded,
        }
    }

    /// Chains whole blocks.
    fn chain(&self, before: u128, blocks: &[u8]) -> u128 {
        let mut state = Block::<Aes256Enc>::from(before.to_be_bytes());
        self.mac.encrypt_with_backend(Chain { state: &mut state, blocks });
        u128::from_be_bytes(state.into())
    }

    /// Adds the key stream that begins at the authenticator (RFC 5297 section 2.5).
    fn keystream(&self, tag: [u8; BLOCK], text: &mut [u8]) {
        const CLEARED: u128 = !((1 << 63) | (1 << 31));
        let mut counter = u128::from_be_bytes(tag) & CLEARED;
        let mut blocks = [Block::<Aes256Enc>::default(); ABREAST];
        for piece in text.chunks_mut(ABREAST * BLOCK) {
            let needed = piece.len().div_ceil(BLOCK);
            for block in &mut blocks {
                *block = counter.to_be_bytes().into();
                counter = counter.wrapping_add(1);
            }
            self.counter.encrypt_blocks(blocks.get_mut(..needed).unwrap_or_default());
            for (chunk, block) in piece.chunks_mut(BLOCK).zip(&blocks) {
                for (byte, key) in chunk.iter_mut().zip(block) {
                    *byte ^= key;
                }
            }
        }
    }
}

/// Multiplies by x in GF(2^128) (RFC 5297 section 2.3), in the same time for every number.
const fn double(block: u128) -> u128 {
    (block << 1) ^ (0x87 * (block >> 127))
}

/// Fewer bytes than a block, a one bit, and zeros.
fn padded(text: &[u8]) -> u128 {
    let mut block = [0; BLOCK];
    for (to, from) in block.iter_mut().zip(text.iter().chain(&[0x80])) {
        *to = *from;
    }
    u128::from_be_bytes(block)
}

/// The whole chain in one call, so that the round keys stay in the processor's registers.
struct Chain<'a> {
    state: &'a mut Block<Aes256Enc>,
    blocks: &'a [u8],
}

impl BlockSizeUser for Chain<'_> {
    type BlockSize = U16;
}

impl BlockClosure for Chain<'_> {
    #[inline(always)]
    fn call<B: BlockBackend<BlockSize = U16>>(self, backend: &mut B) {
        for block in self.blocks.chunks_exact(BLOCK) {
            for (sum, byte) in self.state.iter_mut().zip(block) {
                *sum ^= byte;
            }
            backend.proc_block((&mut *self.state).into());
        }
    }
}

impl Drop for Siv {
    fn drop(&mut self) {
        // The expanded keys wipe themselves.
        self.whole.zeroize();
        self.padded.zeroize();
        self.zero.zeroize();
    }
}

impl Pooled for Siv {
    fn empty() -> Self {
        Self::new(&[0; 64])
    }
    fn pool() -> &'static Pool<Self> {
        static POOL: Pool<Siv> = Pool::new();
        &POOL
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aes_siv::siv::Aes256Siv;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_gives_what_the_crate_gives(
            key in proptest::array::uniform32(any::<u8>()), other in proptest::array::uniform32(any::<u8>()),
            context in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..70), 0..9),
            text in proptest::collection::vec(any::<u8>(), 0..400),
        ) {
            let key: [u8; 64] = [key, other].concat().try_into().unwrap();
            let context: Vec<&[u8]> = context.iter().map(Vec::as_slice).collect();
            let theirs = Aes256Siv::new(&key.into()).encrypt(&context, &text).unwrap();
            let siv = Siv::new(&key);
            let mut ours = text.clone();
            let tag = siv.encrypt(&context, &mut ours);
            prop_assert_eq!([tag.as_slice(), ours.as_slice()].concat(), theirs);

            prop_assert!(siv.decrypt(&context, tag, &mut ours));
            prop_assert_eq!(&ours, &text);
            let mut wrong = tag;
            wrong[3] ^= 1;
            prop_assert!(!siv.decrypt(&context, wrong, &mut ours));
            prop_assert_eq!(&ours, &text, "what does not authenticate is left as it was");
        }
    }

    /// NIST SP 800-38B, AES-256, all four examples: RFC 5297 has test vectors for shorter keys only.
    #[test]
    fn its_cmac_agrees_with_nist() {
        let key = hex::decode("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4").unwrap();
        let text = hex::decode(
            "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
             30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
        )
        .unwrap();
        let siv = Siv::new(&[key.as_slice(), &[0; 32]].concat().try_into().unwrap());
        for (length, expected) in [
            (0, "028962f61b7bf89efc6b551f4667d983"),
            (16, "28a7023f452e8f82bd4bf28d8c37c35c"),
            (40, "aaf3d8f1de5640c232f5b169b9c911e6"),
            (64, "e1992190549f6ed5696a2c056c315410"),
        ] {
            assert_eq!(hex::encode(siv.cmac(0, &text[..length]).to_be_bytes()), expected, "{length} bytes");
        }
    }
}
