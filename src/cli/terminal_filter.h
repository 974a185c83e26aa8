// Makes a model's text safe for a terminal: C0 (but newline and tab), DEL, C1, escape sequences
// with all that belongs to them, and the marks that turn text around (bidi overrides) are left out.
// What a model writes can then neither move the cursor, nor set a title, nor fill a clipboard.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace minerva::cli {

// One for each stream of text; one thread; cannot fail. Sequences may be cut between two pushes,
// characters may not (serve gives whole ones); invalid bytes become U+FFFD.
class TerminalFilter {
 public:
  std::string push(std::string_view text);

 private:
  enum class State : std::uint8_t {
    Text,
    Escape,        // behind ESC
    Intermediate,  // ESC and its intermediate bytes, up to the final one
    Control,       // CSI parameters, up to the final byte
    String,        // OSC, DCS, SOS, PM, APC: up to BEL or ST
    StringEscape,  // an ESC inside a string: of ST, or of something new
  };
  bool keep(char32_t c);

  State state_ = State::Text;
  std::size_t swallowed_ = 0;  // of the sequence that runs
};

}  // namespace minerva::cli
