"""The beginning of programs that load the language model and draw a red circle."""

START = """
held = vdevice()
vlm = VLM(held, {hef!r})
frame = np.full((128, 128, 3), 200, np.uint8)
y, x = np.mgrid[:128, :128]
frame[(y - 64) ** 2 + (x - 64) ** 2 < 900] = (220, 20, 30)
def ask(text="Describe the image.", pictures=1, role="user"):
    parts = [{{"type": "image"}}] * pictures + [{{"type": "text", "text": text}}]
    return [{{"role": role, "content": parts}}]
def answer(prompt, frames, **how):
    how.setdefault("max_generated_tokens", 40)
    with vlm.generate(prompt, frames, **how) as made:
        return [list(made), made.generation_status.name]
"""
END = "<|im_end|>"
CIRCLE = f"A red circle.{END}"
"""What the demo model says about it."""
