// The classes of characters that BERT's tokenizer is written in, of the versions of Unicode that
// `tokenizers` knows in each.
#pragma once

namespace minerva::text {

bool is_bert_control(char32_t code_point);      // other than tab, newline, return
bool is_bert_ideograph(char32_t code_point);    // of Chinese; not kana, not Hangul
bool is_bert_accent(char32_t code_point);       // marks that take no space
bool is_combining_mark(char32_t code_point);    // what StripAccents takes away
bool is_bert_punctuation(char32_t code_point);  // and every ASCII sign

}  // namespace minerva::text
