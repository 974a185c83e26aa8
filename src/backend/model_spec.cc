#include "backend/model_spec.h"

namespace minerva::backend {

std::string_view to_string(ModelFormat format) {
  switch (format) {
    case ModelFormat::Unknown:
      return "unknown";
    case ModelFormat::Gguf:
      return "gguf";
    case ModelFormat::Safetensors:
      return "safetensors";
    case ModelFormat::Mlx:
      return "mlx";
    case ModelFormat::Gptq:
      return "gptq";
    case ModelFormat::OnnxGenAi:
      return "onnx";
    case ModelFormat::TensorRt:
      return "tensorrt";
    case ModelFormat::Remote:
      return "remote";
  }
  return "unknown";
}

}  // namespace minerva::backend
