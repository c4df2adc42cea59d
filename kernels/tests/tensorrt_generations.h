// One set of calls for both plugin generations: struct V2 for IPluginV2DynamicExt, struct V3 for IPluginV3. Only
// tensorrt_driver.cpp includes this file.
#ifndef TSM_EDGE_TESTS_TENSORRT_GENERATIONS_H_
#define TSM_EDGE_TESTS_TENSORRT_GENERATIONS_H_

#include <NvInferRuntime.h>

#include <string>
#include <vector>

#include "tensorrt_host.h"

namespace {

using namespace nvinfer1;  // NOLINT: every other name here is TensorRT's

struct V2 {
  using Plugin = IPluginV2DynamicExt;
  static IPluginCreator* creator(IPluginRegistry* registry, const char* name) {
    IPluginCreatorInterface* const found = registry->getCreator(name, "1", "");
    return found == nullptr ? nullptr : static_cast<IPluginCreator*>(found);
  }
  static const PluginFieldCollection* names(IPluginRegistry* registry, const char* name) {
    return creator(registry, name)->getFieldNames();
  }
  static Plugin* create(IPluginRegistry* registry, const char* name, const PluginFieldCollection* fields) {
    return static_cast<Plugin*>(creator(registry, name)->createPlugin("layer", fields));
  }
  static void destroy(Plugin* plugin) { plugin->destroy(); }
  static Plugin* clone(Plugin* plugin) { return plugin->clone(); }
  static Plugin* reload(IPluginRegistry* registry, const char* name, Plugin* plugin) {
    std::vector<char> bytes(plugin->getSerializationSize());
    plugin->serialize(bytes.data());
    return static_cast<Plugin*>(
        creator(registry, name)->deserializePlugin("layer", bytes.data(), bytes.size()));
  }
  static void refuse_damage(IPluginRegistry* registry, const char* name, const char* other, Plugin* plugin) {
    std::vector<char> bytes(plugin->getSerializationSize());
    plugin->serialize(bytes.data());
    const auto load = [&](const char* as, const std::vector<char>& data, std::size_t size) {
      return creator(registry, as)->deserializePlugin("layer", data.data(), size);
    };
    CHECK(load(name, bytes, bytes.size() - 1) == nullptr, "a truncated plugin");
    CHECK(load(name, bytes, 0) == nullptr, "an empty plugin");
    CHECK(load(other, bytes, bytes.size()) == nullptr, "a plugin of %s", name);
    for (std::size_t i = 0; i < 12; ++i) {  // magic and version
      std::vector<char> damaged = bytes;
      damaged[i] ^= 0x40;
      CHECK(load(name, damaged, damaged.size()) == nullptr, "byte %zu changed", i);
    }
    CHECK(the_log.last.find("build the engine again") != std::string::npos, "log: %s", the_log.last.c_str());
  }
  static std::string name(Plugin* plugin) { return plugin->getPluginType(); }
  static std::int32_t outputs(Plugin* plugin) { return plugin->getNbOutputs(); }
  static bool shapes(Plugin* plugin, const std::vector<DimsExprs>& inputs, DimsExprs* out,
                     IExprBuilder& builder) {
    for (std::int32_t i = 0; i < plugin->getNbOutputs(); ++i) {
      out[i] =
          plugin->getOutputDimensions(i, inputs.data(), static_cast<std::int32_t>(inputs.size()), builder);
      if (out[i].nbDims < 0) return false;
    }
    return true;
  }
  static bool supports(Plugin* plugin, std::int32_t at, const std::vector<PluginTensorDesc>& all,
                       std::int32_t inputs) {
    return plugin->supportsFormatCombination(at, all.data(), inputs,
                                             static_cast<std::int32_t>(all.size()) - inputs);
  }
  static DataType type(Plugin* plugin, std::int32_t output, const std::vector<DataType>& inputs) {
    return plugin->getOutputDataType(output, inputs.data(), static_cast<std::int32_t>(inputs.size()));
  }
  static bool enqueue(Plugin* plugin, const PluginTensorDesc* in, const PluginTensorDesc* out,
                      const void* const* from, void* const* to) {
    return plugin->enqueue(in, out, from, to, nullptr, nullptr) == 0;
  }
};

struct V3 {
  using Plugin = IPluginV3;
  static IPluginCreatorV3One* creator(IPluginRegistry* registry, const char* name) {
    IPluginCreatorInterface* const found = registry->getCreator(name, "1", "");
    return found == nullptr ? nullptr : static_cast<IPluginCreatorV3One*>(found);
  }
  static const PluginFieldCollection* names(IPluginRegistry* registry, const char* name) {
    return creator(registry, name)->getFieldNames();
  }
  static Plugin* create(IPluginRegistry* registry, const char* name, const PluginFieldCollection* fields) {
    return creator(registry, name)->createPlugin("layer", fields, TensorRTPhase::kBUILD);
  }
  static void destroy(Plugin* plugin) { delete plugin; }
  static Plugin* clone(Plugin* plugin) { return plugin->clone(); }
  static Plugin* reload(IPluginRegistry* registry, const char* name, Plugin* plugin) {
    return creator(registry, name)
        ->createPlugin("layer", runtime(plugin)->getFieldsToSerialize(), TensorRTPhase::kRUNTIME);
  }
  static void refuse_damage(IPluginRegistry* registry, const char* name, const char* other, Plugin* plugin) {
    const auto load = [&](const char* as, const PluginFieldCollection* fields) {
      return creator(registry, as)->createPlugin("layer", fields, TensorRTPhase::kRUNTIME);
    };
    const PluginFieldCollection* const whole = runtime(plugin)->getFieldsToSerialize();
    if (whole->nbFields > 1) CHECK(load(other, whole) == nullptr, "a plugin of %s", name);
    for (std::int32_t left_out = 0; left_out < whole->nbFields; ++left_out) {
      std::vector<PluginField> some;
      for (std::int32_t i = 0; i < whole->nbFields; ++i) {
        if (i != left_out) some.push_back(whole->fields[i]);
      }
      const PluginFieldCollection part{static_cast<std::int32_t>(some.size()), some.data()};
      CHECK(load(name, &part) == nullptr, "without field %s", whole->fields[left_out].name);
    }
    const std::int32_t later = 2;
    std::vector<PluginField> fields(whole->fields, whole->fields + whole->nbFields);
    fields[0].data = &later;
    const PluginFieldCollection newer{whole->nbFields, fields.data()};
    CHECK(load(name, &newer) == nullptr, "another version");
    CHECK(the_log.last.find("build it again") != std::string::npos, "log: %s", the_log.last.c_str());
  }
  static IPluginV3OneCore* core(Plugin* plugin) {
    return static_cast<IPluginV3OneCore*>(plugin->getCapabilityInterface(PluginCapabilityType::kCORE));
  }
  static IPluginV3OneBuild* build(Plugin* plugin) {
    return static_cast<IPluginV3OneBuild*>(plugin->getCapabilityInterface(PluginCapabilityType::kBUILD));
  }
  static IPluginV3OneRuntime* runtime(Plugin* plugin) {
    return static_cast<IPluginV3OneRuntime*>(plugin->getCapabilityInterface(PluginCapabilityType::kRUNTIME));
  }
  static std::string name(Plugin* plugin) { return core(plugin)->getPluginName(); }
  static std::int32_t outputs(Plugin* plugin) { return build(plugin)->getNbOutputs(); }
  static bool shapes(Plugin* plugin, const std::vector<DimsExprs>& inputs, DimsExprs* out,
                     IExprBuilder& builder) {
    return build(plugin)->getOutputShapes(inputs.data(), static_cast<std::int32_t>(inputs.size()), nullptr, 0,
                                          out, outputs(plugin), builder) == 0;
  }
  static bool supports(Plugin* plugin, std::int32_t at, const std::vector<PluginTensorDesc>& all,
                       std::int32_t inputs) {
    std::vector<DynamicPluginTensorDesc> dynamic(all.size());
    for (std::size_t i = 0; i < all.size(); ++i) dynamic[i].desc = all[i];
    return build(plugin)->supportsFormatCombination(at, dynamic.data(), inputs,
                                                    static_cast<std::int32_t>(all.size()) - inputs);
  }
  static DataType type(Plugin* plugin, std::int32_t output, const std::vector<DataType>& inputs) {
    DataType types[2] = {};
    build(plugin)->getOutputDataTypes(types, outputs(plugin), inputs.data(),
                                      static_cast<std::int32_t>(inputs.size()));
    return types[output];
  }
  static bool enqueue(Plugin* plugin, const PluginTensorDesc* in, const PluginTensorDesc* out,
                      const void* const* from, void* const* to) {
    // The order of calls in TensorRT: attach a copy to a context, set its shapes, run it.
    IPluginV3* const attached = runtime(plugin)->attachToContext(nullptr);
    const std::int32_t inputs = outputs(plugin);
    const bool accepted = runtime(attached)->onShapeChange(in, inputs, out, inputs) == 0;
    const bool ran = runtime(attached)->enqueue(in, out, from, to, nullptr, nullptr) == 0;
    CHECK(accepted || !ran, "enqueue ran what onShapeChange had refused");
    delete attached;
    return ran;
  }
};

}  // namespace

#endif  // TSM_EDGE_TESTS_TENSORRT_GENERATIONS_H_
