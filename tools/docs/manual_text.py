"""What the manual pages say that stands nowhere else."""

ABOUT = """\
hailo-ctl is the administrator's tool of the services hailo-vision (Qwen2-VL) and hailo-florence
(Florence-2). Begin with

  hailo-ctl doctor

which looks at everything and says what to do about what is wrong. hailo-ctl runs as an ordinary
user where that is enough. What writes to /etc/hailo needs root; fetching models needs root too, and
goes on as the user hailo-fetch as soon as it can.
"""

STATUS = {
    "0": "All is well.",
    "1": "A check found something wrong.",
    "2": "The command line is wrong.",
    "74": "A file could not be read or written.",
    "75": "It failed, and a later try may succeed: offline, a mirror is down, the disk is full.",
    "77": "This user does not have the permission.",
    "78": "It failed, and a later try will not help: an invalid configuration, a file whose content does not "
    "match its checksum, a file without a checksum that nobody has accepted yet.",
}

FILES = {
    "/etc/hailo/NAME.yaml, /etc/hailo/NAME.d/*.yaml": "The configuration of hailo-vision, hailo-florence and "
    "hailo-fetch, the fetcher of models.",
    "/usr/share/NAME/NAME.yaml": "All keys with their defaults.",
    "/etc/xdg/NAME/NAME.json": "What a service reads, rendered from the YAML.",
    "/usr/share/hailo/models.manifest, /etc/hailo/models.d/*.manifest": "The known models.",
    "/var/lib/hailo-models": "Fetched models, one folder each. Another node that can read it, over HTTP "
    "or a share, can fetch from it (--from).",
    "/var/lib/hailo-models/pins.yaml": "Checksums that were accepted for files whose publisher states none.",
}

SEE_ALSO = (
    "hailo-ctl(8)",
    "hailo-render-config(8)",
    "hailo-vision-server(8)",
    "hailo-florence-server(8)",
    "hailo-vision.yaml(5)",
    "hailo-florence.yaml(5)",
    "hailo-fetch.yaml(5)",
    "hailo-images.yaml(5)",
    "models.manifest(5)",
)

YAML = """\
NAME takes its settings from these files; where a key stands in several, the last one wins:

  /usr/share/NAME/NAME.yaml      the package's defaults, replaced by upgrades
  /etc/hailo/NAME.yaml           the administrator's
  /etc/hailo/NAME.d/*.yaml       fleet tooling, in the order of the names

Each is a flat mapping, one "key: value" a line; lists are written [a, b]. Anchors, aliases and tags
are refused. An unknown key is an error. Check a file with hailo-ctl config check NAME; change a
value, keeping everything else in the file, with hailo-ctl config set NAME KEY=VALUE.
"""

MANIFEST = """\
A manifest lists models, their files, and what those must be. The package's is
/usr/share/hailo/models.manifest; files /etc/hailo/models.d/*.manifest add models, and replace
models of the same name. It is YAML:

  schema: 1
  models:
    my-florence:
      service: hailo-florence
      backend: cpu
      licence: MIT
      default: false
      about: Florence-2, tuned on our images
      files:
        - path: onnx/vision_encoder.onnx
          url: https://models.example.org/my-florence/vision_encoder.onnx
          size: 366549825
          sha256: d67258cdfdebfa21285dad9e7bd4bd99725236d0aaef9e474a1b24a6ec471351
        - path: config.json
          url: https://models.example.org/my-florence/config.json
          sha256: unstated

A model's name is also its folder's in /var/lib/hailo-models. Keys of a model: service; backend, npu
or cpu; architecture (hailo10h, hailo8, hailo8l), hailort (the release that an npu model is built for)
and loads_on (newer releases on which it was seen to load), for npu models only; format, gguf for
models of llama.cpp; default, true for models that "model: auto" may take: of those for the machine's
chip, or of those that its memory and disk have room for, the first; memory_mb and seconds, about what
it costs; licence, about and homepage, for people; and files.

Keys of a file: path, relative to the model's folder; url or urls, https only, tried in their order;
size, exact bytes, or about_mb, a rounded figure; and sha256.

sha256 is required. "unstated" says that the publisher states no checksum: such a file is taken once,
over verified TLS, from the hosts of its URLs and those of the key hosts at the top (a list of names;
*.example.org stands for any below), and what arrived then is pinned in pins.yaml: later it is that
or nothing, from wherever. With require_stated_digests in hailo-fetch.yaml, or to take it from a
mirror, somebody must accept it first (hailo-ctl models fetch --accept).

A file of this folder that cannot be read or understood costs its own models and no others; hailo-ctl
models list and doctor name it.

config.json is always fetched last: a service takes a folder without it for a model that is still to
come.
"""
