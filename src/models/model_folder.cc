#include "models/model_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace minerva::models {
namespace {

// "../../blobs/HEX" of a file in the snapshot's own folder, one "../" more for each folder below.
bool leads_to_blobs(std::string_view target, std::size_t depth) {
  for (std::size_t i = 0; i < depth + 2; ++i) {
    if (!target.starts_with("../")) return false;
    target.remove_prefix(3);
  }
  constexpr std::string_view kBlobs = "blobs/";
  if (!target.starts_with(kBlobs)) return false;
  target.remove_prefix(kBlobs.size());
  return !target.empty() && target.size() <= 64 && std::ranges::all_of(target, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
}

bool leads_beside(std::string_view target) {
  return !target.empty() && !target.contains('/') && target != "." && target != "..";
}

}  // namespace

std::string_view FolderFile::name() const {
  return std::string_view(path).substr(path.rfind('/') + 1);
}

Result<ModelFolder> ModelFolder::open(const std::string& path) {
  MINERVA_ASSIGN(OpenFolder root, OpenFolder::open(path));
  ModelFolder folder(std::move(root));
  MINERVA_TRY(folder.walk(folder.root_, "", 0));
  std::ranges::sort(folder.files_, {}, &FolderFile::path);
  return folder;
}

Result<void> ModelFolder::walk(const OpenFolder& at, const std::string& prefix, std::size_t depth) {
  MINERVA_ASSIGN(const auto items, at.items(kFolderFilesMax));
  for (const FolderItem& item : items) {
    const std::string path = prefix + item.name;
    if (item.type == FileType::Folder) {
      // A clone's history is large, and no loader looks into it.
      if (item.name == ".git") continue;
      if (depth + 1 >= kFolderDepthMax) {
        return fail(ErrorCode::InvalidModel,
                    fmt::format("{}/{}: more than {} folders inside each other", root_.path(),
                                escape_controls(path), kFolderDepthMax));
      }
      MINERVA_ASSIGN(const OpenFolder inside, at.open_inside(item.name));
      MINERVA_TRY(walk(inside, path + '/', depth + 1));
      continue;
    }
    if (item.type == FileType::Symlink) {
      const bool kept = leads_beside(item.link_target) || leads_to_blobs(item.link_target, depth);
      if (!kept || item.target_type == FileType::Folder) {
        return fail(
            ErrorCode::InvalidModel,
            fmt::format("{}/{} is a symbolic link out of the model's folder, to {}: put "
                        "the file itself there",
                        root_.path(), escape_controls(path), escape_controls(item.link_target)));
      }
    } else if (item.type != FileType::Regular) {
      continue;
    }
    if (files_.size() >= kFolderFilesMax) {
      return fail(ErrorCode::InvalidModel,
                  fmt::format("{}: more than {} files", root_.path(), kFolderFilesMax));
    }
    files_.push_back({path, item.size_bytes, item.modified_ns, item.link_target,
                      item.type == FileType::Symlink && item.target_type != FileType::Regular});
  }
  return {};
}

const FolderFile* ModelFolder::find(std::string_view path) const {
  const auto at = std::ranges::lower_bound(files_, path, {}, &FolderFile::path);
  return at != files_.end() && at->path == path && !at->missing ? &*at : nullptr;
}

Result<std::string> ModelFolder::read(const FolderFile& file, std::uint64_t bytes_max) const {
  const std::string last = file.link_target.empty() ? std::string(file.name()) : file.link_target;
  std::string_view rest = file.path;
  const OpenFolder* at = &root_;
  std::vector<OpenFolder> opened;
  opened.reserve(kFolderDepthMax);
  for (std::size_t slash = rest.find('/'); slash != std::string_view::npos;
       slash = rest.find('/')) {
    MINERVA_ASSIGN(OpenFolder inside, at->open_inside(std::string(rest.substr(0, slash))));
    opened.push_back(std::move(inside));
    at = &opened.back();
    rest.remove_prefix(slash + 1);
  }
  return at->read_file(last, bytes_max);
}

std::uint64_t ModelFolder::stamp() const {
  // FNV-1a: it only has to change when a file does.
  std::uint64_t hash = 14695981039346656037ULL;
  for (const FolderFile& file : files_) {
    const std::string line =
        fmt::format("{}\n{}\n{}\n{}\n", file.path, file.size_bytes, file.modified_ns, file.missing);
    for (const char c : line) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  }
  return hash;
}

std::int64_t ModelFolder::modified_ns() const {
  std::int64_t newest = 0;
  for (const FolderFile& file : files_) newest = std::max(newest, file.modified_ns);
  return newest;
}

}  // namespace minerva::models
