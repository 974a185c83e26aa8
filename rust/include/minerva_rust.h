// The C face of Minerva's Rust library (rust/src/ffi.rs): chat templates. No function throws or
// unwinds. A template is immutable: any thread may render it, at the same time as others.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" {

struct MinervaTemplate;

// Freed by minerva_text_free. Empty is {nullptr, 0}.
struct MinervaText {
  std::uint8_t* data;
  std::size_t size;
};

// Local time for strftime_now, as struct tm with plain numbers: month and day from 1, weekday 0 is
// Sunday, day_of_year from 1.
struct MinervaLocalTime {
  std::int32_t year, month, day, hour, minute, second, microsecond, weekday, day_of_year;
  std::int64_t epoch_seconds;
};

struct MinervaTemplateLimits {
  std::uint64_t fuel;
  std::uint64_t output_bytes;
  std::uint64_t recursion;
};

// What the functions return; everything but ok comes with a message.
enum MinervaTemplateStatus : std::int32_t {
  kMinervaTemplateOk = 0,
  kMinervaTemplateRaised = 1,  // raise_exception(): the message is the template's own
  kMinervaTemplateError = 2,   // it does not compile, or failed while rendering
  kMinervaTemplateOutOfFuel = 3,
  kMinervaTemplateOutputFull = 4,
  kMinervaTemplateBadContext = 5,  // the context is not JSON
  kMinervaTemplatePanic = 6,       // a mistake inside the library
};

std::int32_t minerva_template_compile(const std::uint8_t* source, std::size_t size,
                                      MinervaTemplate** out, MinervaText* error);
std::int32_t minerva_template_render(const MinervaTemplate* compiled, const std::uint8_t* context,
                                     std::size_t size, const MinervaLocalTime* now,
                                     const MinervaTemplateLimits* limits, MinervaText* out);
void minerva_template_free(MinervaTemplate* compiled);
void minerva_text_free(MinervaText text);
}
