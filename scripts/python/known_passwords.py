"""From a list of passwords, the most used first, to sorted 40-bit hashes of what is to be refused.

    known_passwords.py LIST OUT

Kept are passwords that are long enough to be taken (12 characters), and the words of the others: what is left of a password in lower case
without the digits and signs around it. src/passwords/known.rs makes the same forms; a test there holds the two together.
"""

import hashlib
import re
import sys

LONG = 12
# Words of at least so many letters, out of so many passwords: the rest is rare or noise.
WORD = 5
WORDS_OUT_OF = 400_000
BYTES = 5


def main(source, target):
    known = set()
    with open(source, encoding="utf-8", errors="ignore") as lines:
        for rank, line in enumerate(lines):
            password = line.rstrip("\n").lower()
            if not password.isascii():
                continue
            if len(password) >= LONG:
                known.add(password)
            word = re.sub(r"^[^a-z]+|[^a-z]+$", "", password)
            if rank < WORDS_OUT_OF and len(word) >= WORD and word.isalpha():
                known.add(word)
    hashes = sorted({hashlib.sha256(one.encode()).digest()[:BYTES] for one in known})
    with open(target, "wb") as out:
        out.write(b"".join(hashes))
    print(f"   {len(hashes)} hashes, {len(hashes) * BYTES // 1024} KiB")


if __name__ == "__main__":
    main(*sys.argv[1:])
