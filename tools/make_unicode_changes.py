#!/usr/bin/env python3
"""Makes src/text/unicode_changes.cc: where PyPI `tokenizers` and the utf8proc that we link know
different versions of Unicode.

    make_unicode_changes.py OUT.cc && clang-format-19 -i OUT.cc

Everything is asked of the two: the library's expressions and normalizers, one character at a time,
and utf8proc's functions.
"""
import ctypes
import sys

from tokenizers import Regex, normalizers, pre_tokenizers

CODES = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
PROC = ctypes.CDLL("libutf8proc.so.2")
PROC.utf8proc_category_string.restype = ctypes.c_char_p
CATEGORY = {c: PROC.utf8proc_category_string(c).decode() for c in CODES}

HEAD = """// Made by tools/make_unicode_changes.py; do not edit.
#include "text/unicode_changes.h"

namespace minerva::text {
"""


def ranges(codes):
    out = []
    for c in sorted(codes):
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def table(name, kind, rows):
    cells = [f"{{{', '.join(row)}}}" for row in rows]
    lines, line = [], " "
    for cell in cells:
        if len(line) + len(cell) + 2 > 98:
            lines.append(line)
            line = " "
        line += f" {cell},"
    return f"\nconstexpr {kind} {name}Rows[] = {{\n" + "\n".join([*lines, line]) + "\n};\n" + \
        f"const std::span<const {kind}> {name} = {name}Rows;\n"


def code_table(name, codes):
    return table(name, "CodeRange", [(f"{a:#x}", f"{b:#x}") for a, b in ranges(codes)])


def of_expression(expression):
    splitter = pre_tokenizers.Split(Regex(expression), "removed", invert=True)
    text = "".join(map(chr, CODES))
    return {ord(c) for i in range(0, len(text), 65536)
            for piece, _ in splitter.pre_tokenize_str(text[i:i + 65536]) for c in piece}


def dropped_by(pre_tokenizer):
    text = "".join(map(chr, CODES))
    kept = {ord(c) for i in range(0, len(text), 65536)
            for piece, _ in pre_tokenizer.pre_tokenize_str(text[i:i + 65536]) for c in piece}
    return set(CODES) - kept


def changed_by(normalizer):
    out = {}
    for c in CODES:
        text = normalizer.normalize_str(chr(c))
        if text != chr(c):
            out[c] = text
    return out


def newer_classes():
    """Those that utf8proc calls unassigned."""
    classes = [("kLetter | kUpper", r"[\p{Lu}\p{Lt}]+"), ("kLetter | kLower", r"\p{Ll}+"),
               ("kLetter", r"[\p{Lm}\p{Lo}]+"), ("kNumber", r"\p{N}+"), ("kPunct", r"\p{P}+"),
               ("kSymbol", r"\p{S}+"), ("kMark", r"\p{M}+")]
    rows = []
    for name, expression in classes:
        codes = {c for c in of_expression(expression) if CATEGORY[c] == "Cn"}
        rows += [(a, f"{a:#x}", f"{b:#x}", name) for a, b in ranges(codes)]
    return table("kNewerClasses", "ClassRange", [row[1:] for row in sorted(rows)])


def lower_changes():
    rows = []
    for c, text in changed_by(normalizers.Lowercase()).items():
        if len(text) == 1 and PROC.utf8proc_tolower(c) != ord(text):
            rows.append((f"{c:#x}", f"{ord(text):#x}"))
    return table("kNewerLowerCase", "CodePair", rows)


def unchanged(form, compatible):
    """What utf8proc decomposes and the library does not."""
    known = changed_by(form)
    options = 1 << 1 | 1 << 4 | (1 << 2 if compatible else 0)  # STABLE, DECOMPOSE, COMPAT
    out = set()
    buffer = (ctypes.c_int32 * 32)()
    boundary = ctypes.c_int()
    for c in CODES:
        count = PROC.utf8proc_decompose_char(c, buffer, 32, options & ~2, ctypes.byref(boundary))
        if list(buffer[:count]) != [c] and c not in known:
            out.add(c)
    return out


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    marks = set(changed_by(normalizers.StripAccents()))
    bert = changed_by(normalizers.BertNormalizer(False, False, True, False))
    accents = {c for c, text in bert.items() if text == ""}
    clean = changed_by(normalizers.BertNormalizer(True, False, False, False))
    controls = {c for c, text in clean.items() if text == "" and c not in (0, 0xfffd)}
    signs = dropped_by(pre_tokenizers.Punctuation("removed"))
    parts = [
        HEAD, newer_classes(), lower_changes(),
        code_table("kMarkChanges", marks ^ {c for c in CODES if CATEGORY[c][0] == "M"}),
        code_table("kAccentChanges", accents ^ {c for c in CODES if CATEGORY[c] == "Mn"}),
        code_table("kControlChanges", controls ^ {
            c for c in CODES if CATEGORY[c] in ("Cc", "Cf", "Co") and c not in (0, 9, 10, 13)}),
        code_table("kPunctuationChanges", {c for c in signs if c > 0x7f} ^ {
            c for c in CODES if c > 0x7f and CATEGORY[c][0] == "P"}),
        code_table("kNotDecomposed", unchanged(normalizers.NFD(), False)),
        code_table("kNotCompatible", unchanged(normalizers.NFKD(), True)),
        "\n}  // namespace minerva::text\n"]
    with open(sys.argv[1], "w", encoding="ascii") as file:
        file.write("".join(parts))


if __name__ == "__main__":
    main()
