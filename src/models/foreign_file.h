// What a file is that is no GGUF: told by its first bytes, named so that a person knows what to do.
// Pure functions; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace minerva::models {

enum class FileContent : std::uint8_t { Gguf, Safetensors, Pickle, Other };

FileContent file_content(std::span<const std::byte> bytes);

// "a PyTorch checkpoint: …", for one that is not Gguf.
std::string foreign_file_words(std::span<const std::byte> bytes, std::string_view path);

// ".incomplete", ".part", …: how programs call a download that they have not finished; empty when
// the name ends in none of them.
std::string_view unfinished_ending(std::string_view path);

// A file of weights that can run code when it is loaded, by its name.
bool is_pickle_name(std::string_view path);

}  // namespace minerva::models
