// The verdict on a path: what lies there, told by its content and never by its name. Reads headers
// and configuration, no weights. Any thread.
#pragma once

#include <span>
#include <string>

#include "models/model_entry.h"
#include "models/model_folder.h"

namespace minerva::models {

// Fills all of an entry but name, full_name and source; what is wrong is its `problem`. A folder
// that holds one GGUF model and nothing else is that file. `allow_code`: see code_scan.h.
ModelEntry inspect_path(const std::string& path, std::span<const std::string> allow_code);

// The same for what is known to be a regular file, or a folder that is open. `entry` has its path,
// size and times.
void inspect_file(ModelEntry& entry);
void inspect_folder(ModelEntry& entry, const ModelFolder& folder,
                    std::span<const std::string> allow_code);

// GGUF only: metadata, tensors, parts.
void inspect_gguf(ModelEntry& entry);

// The projector for the GGUF model of this entry among those `beside` it (the entries of its
// folder, itself too): one of the model's width whose name belongs to it, or the only one where
// all models of the folder are versions of one. Empty: none.
std::string projector_for(const ModelEntry& model, std::span<const ModelEntry> beside);

}  // namespace minerva::models
