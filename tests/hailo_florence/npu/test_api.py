"""The API of hailo-florence on the chip, in every version of HailoRT: the tests of the CPU, unchanged."""

from __future__ import annotations

from pathlib import Path

from tests.hailo_florence.api.conftest import data_uri, red_circle
from tests.hailo_florence.api.running import Running
from tests.hailo_florence.api.test_api import (
    test_a_data_uri_gives_a_true_caption,
    test_a_form_over_10_mb_is_413,
    test_a_form_with_a_file_gives_the_same,
    test_a_question_longer_than_the_model_is_422_with_the_numbers,
    test_a_question_must_be_a_short_text,
    test_a_request_id_is_kept_if_sane_and_logged,
    test_bad_images_have_their_status_and_code,
    test_form_fields_are_read_as_numbers,
    test_health_says_what_an_operator_asks,
    test_metrics_in_both_forms,
    test_min_length_is_honoured,
    test_out_of_range_is_422_naming_the_field,
    test_sampling_is_repeatable_by_seed,
    test_the_api_page_is_off_unless_asked_for,
    test_the_edges_of_the_ranges_are_accepted,
    test_the_log_has_the_promised_fields,
    test_the_question_conditions_the_answer,
)
from tests.hailo_florence.npu.serving import on_chip
from tests.npu import Machine

__all__ = [
    "test_a_data_uri_gives_a_true_caption",
    "test_a_form_over_10_mb_is_413",
    "test_a_form_with_a_file_gives_the_same",
    "test_a_question_longer_than_the_model_is_422_with_the_numbers",
    "test_a_question_must_be_a_short_text",
    "test_a_request_id_is_kept_if_sane_and_logged",
    "test_bad_images_have_their_status_and_code",
    "test_form_fields_are_read_as_numbers",
    "test_health_says_what_an_operator_asks",
    "test_metrics_in_both_forms",
    "test_min_length_is_honoured",
    "test_out_of_range_is_422_naming_the_field",
    "test_sampling_is_repeatable_by_seed",
    "test_the_api_page_is_off_unless_asked_for",
    "test_the_edges_of_the_ranges_are_accepted",
    "test_the_log_has_the_promised_fields",
    "test_the_question_conditions_the_answer",
]


def test_the_stages_run_on_the_chip(florence: Running) -> None:
    stages = {stage["name"]: stage["backend"] for stage in florence.health()["stages"]}
    assert stages == {
        "vision_encoder": "onnxruntime (CPU)",
        "text_encoder": "HailoRT (NPU)",
        "decoder": "HailoRT (NPU)",
    }
    assert florence.health()["hailo_device"] == "connected"
    assert florence.health()["limits"]["max_length"] == 30


def test_the_temperature_is_told_in_both_places(machine: Machine, florence: Running) -> None:
    florence.until(lambda: "chip_temperature_c" in florence.health())
    assert florence.health()["chip_temperature_c"] == [47.5, 48.0]
    metrics = florence.client.get("/metrics").text
    assert 'hailo_florence_chip_temperature_celsius{sensor="1"} 48.0' in metrics
    assert "hailo_florence_device_losses_total 0.0" in metrics


def test_a_question_without_room_is_422_with_the_limit(machine: Machine, narrow: Path) -> None:
    """The published encoder has room for 8 tokens: a caption's, or a question of three here."""
    with on_chip(machine, narrow) as running:
        image = data_uri(red_circle())
        caption = running.client.post("/v1/caption", json={"image": image})
        assert caption.json()["caption"] == "a red circle"
        reply = running.client.post("/v1/vqa", json={"image": image, "question": "What color is the circle?"})
        assert (reply.status_code, reply.json()["error"]) == (422, "context_length_exceeded")
        assert "the model has room for 73" in reply.json()["message"]
