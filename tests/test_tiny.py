"""The embedded model's recipe and files: packing is exact, the template is consistent, the weights load."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import sys
from itertools import islice
from pathlib import Path
from random import Random

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from models.tiny import corpus, japanese, net, pack, probes, tellings, wordings  # noqa: E402
from models.tiny import train as training  # noqa: E402
from models.tiny.evaluate import holds, judge, load, measure, wilson  # noqa: E402
from models.tiny.export import export  # noqa: E402
from models.tiny.muon import orthogonalise  # noqa: E402
from models.tiny.plan import PLAN  # noqa: E402
from models.tiny.train import Phase, Plan, chunk, to_tensors, train  # noqa: E402

from kurabe import prompts, shops  # noqa: E402
from kurabe.attention import ATTENTION  # noqa: E402

FOLDER = ROOT / "src/kurabe/tiny"
TREES = corpus.Mix(rows=((1, 4, 1.0),), copying=0.2, neutral=0.2, japanese=0.3)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast.from_pretrained(FOLDER)


@pytest.fixture(scope="module")
def encoder() -> pack.Encoder:
    return pack.Encoder(Tokenizer.from_file(str(FOLDER / "tokenizer.json")))


def test_packed_logits_equal_those_of_separate_rows(encoder: pack.Encoder) -> None:
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=encoder.tokenizer.get_vocab_size(),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
        )
    ).eval()
    trees = list(islice(corpus.trees("packing", TREES), 5))
    for packed in pack.pack(encoder, trees, 600):
        batch = to_tensors(packed, "cpu")
        model.set_attn_implementation(ATTENTION)
        ids, within = batch["ids"][None], net.Trees(packed.trees)
        with torch.inference_mode():
            logits = model(input_ids=ids, position_ids=batch["position"][None], within=within).logits[0]
        model.set_attn_implementation("eager")
        start = 0
        for prefix, *branches in packed.trees:
            first = start + prefix
            for length in branches:
                places = torch.tensor([*range(start, start + prefix), *range(first, first + length)])
                with torch.inference_mode():
                    alone = model(input_ids=ids[:, places]).logits[0]
                torch.testing.assert_close(logits[places], alone, atol=1e-4, rtol=1e-4)
                first += length
            start = first


def test_attention_over_trees_and_its_gradient_equal_those_under_a_mask() -> None:
    trees = [(3, 2, 4, 1), (5, 3)]
    torch.manual_seed(0)
    query = torch.randn(1, 4, 18, 6, dtype=torch.float64, requires_grad=True)
    key, value = (torch.randn(1, 2, 18, 6, dtype=torch.float64, requires_grad=True) for _ in range(2))
    seen, start = torch.zeros(18, 18, dtype=torch.bool), 0
    for prefix, *branches in trees:
        first = start + prefix
        for length in (0, *branches):
            places = torch.tensor([*range(start, start + prefix), *range(first, first + length)])
            seen[places[:, None], places] = torch.ones(len(places), len(places), dtype=torch.bool).tril()
            first += length
        start = first
    wide = (x.repeat_interleave(2, 1) for x in (key, value))
    expected = torch.nn.functional.scaled_dot_product_attention(query, *wide, attn_mask=seen, scale=0.3).transpose(1, 2)
    found = net.Trees(trees).attend(0, query, key, value, 0.3)
    torch.testing.assert_close(found, expected)
    upon = torch.randn_like(expected)
    for ours, theirs in zip(
        *(torch.autograd.grad(x, (query, key, value), upon) for x in (found, expected)), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_only_answers_and_their_end_are_labelled(encoder: pack.Encoder) -> None:
    tree = corpus.Tree("Facts.", ((("When?", "At 9."), ("Who?", "Nora.")), (("Where?", "Here."),)))
    row = next(pack.pack(encoder, [tree], 600))
    labelled = [token for token, weight in zip(row.ids, row.weight, strict=True) if weight > 0]
    assert encoder.tokenizer.decode(labelled, skip_special_tokens=False) == "At 9.</s>Nora.</s>Here.</s>"


def test_training_ids_are_those_of_the_chat_template(tokenizer: PreTrainedTokenizerFast, encoder: pack.Encoder) -> None:
    tree = next(tree for tree in corpus.trees("template", TREES) if len(tree.branches[0]) > 1)
    prefix, branches = encoder.tree(tree)
    messages = [{"role": "system", "content": tree.system}]
    for question, answer in tree.branches[0]:
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    assert tokenizer(text, add_special_tokens=False)["input_ids"] == prefix + branches[0][0]
    asked = tokenizer.apply_chat_template(messages[:2], tokenize=False, add_generation_prompt=True)
    assert asked.endswith("</s>\n<|assistant|>\n")


def test_tokenizer_adds_nothing_and_splits_digits(tokenizer: PreTrainedTokenizerFast) -> None:
    assert tokenizer("Hi")["input_ids"] == tokenizer("Hi", add_special_tokens=False)["input_ids"]
    digits = tokenizer("$6.99 and 1234", add_special_tokens=False)["input_ids"]
    assert sum(tokenizer.decode([token]).strip().isdigit() for token in digits) == 7
    for text in ("plain", "a\nb\n- c", "送料は6.99ドルです。", "emoji \U0001f600 and \u00e9"):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    specials = ["<unk>", "<s>", "</s>", "<|system|>", "<|user|>", "<|assistant|>"]
    assert tokenizer.convert_tokens_to_ids(specials) == list(range(6))
    assert tokenizer.eos_token == "</s>" and tokenizer.bos_token == "<s>"


def test_the_same_seed_gives_the_same_batches(encoder: pack.Encoder) -> None:
    phase = PLAN.phases[0]
    first, second = (chunk(PLAN, phase, 3, encoder) for _ in range(2))
    assert [batch.ids for batch in first] == [batch.ids for batch in second]
    assert first[0].ids != chunk(PLAN, phase, 4, encoder)[0].ids


@pytest.mark.slow
def test_the_recipe_still_makes_the_batches_that_the_weights_were_trained_on(encoder: pack.Encoder) -> None:
    """All of them, in order, from the seed: the card names their hash. It takes about five minutes."""
    corpus_hash, step = "", 0
    while step < PLAN.steps:
        for packed in chunk(PLAN, PLAN.phase(step), step // training.CHUNK_STEPS, encoder):
            corpus_hash = training.joined(corpus_hash, packed)
            step += 1
    assert f"`{corpus_hash}`" in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_rates_rise_stay_and_fall() -> None:
    rates = [PLAN.rate(step) for step in range(PLAN.steps)]
    assert rates[0] < 0.05 and max(rates) == 1.0 and rates[PLAN.phases[1].until] == 1.0
    assert rates[-1] < 0.06
    assert all(phase.until % 20 == 0 for phase in PLAN.phases)


def test_a_restart_warms_up_again() -> None:
    told = next(phase for phase in PLAN.phases if phase.restart)
    start = PLAN.start(told)
    assert start == PLAN.phases[PLAN.phases.index(told) - 1].until
    assert PLAN.rate(start) == pytest.approx(told.rate / PLAN.warmup)
    assert PLAN.rate(start + PLAN.warmup - 1) == PLAN.rate(start + PLAN.warmup) == told.rate


def test_what_is_published_is_the_mean_of_the_phases_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(training, "CHUNK_STEPS", 1)
    monkeypatch.setattr(net, "LAYERS", 2)
    monkeypatch.setattr(torch, "set_flush_denormal", lambda _: None)  # it would hold for the tests after this one
    work, stopped = tmp_path / "work", tmp_path / "stopped"
    work.mkdir()
    shutil.copy(FOLDER / "tokenizer.json", work)
    plan = Plan(
        3,
        (
            Phase("one", 1, TREES, 300, share=0.25),
            Phase("two", 2, TREES, 300),
            Phase("three", 3, TREES, 300, restart=True, share=0.75),
        ),
    )
    steps = []
    for record in train(plan, work):
        steps.append(record["step"])
        export(work, work / f"at {record['step']}")
        if record["step"] == 2:
            shutil.copytree(work, stopped)
    (work / "last.pt").unlink()  # a mean needs no checkpoint
    export(work, work / "published", plan.shares)
    first, last, published = (load_file(work / name / "model.safetensors") for name in ("at 1", "at 3", "published"))
    assert steps == [1, 2, 3] and not (work / "two.safetensors").exists()
    assert not all(torch.equal(first[name], last[name]) for name in first)
    for name, tensor in published.items():
        assert torch.equal(tensor, (0.25 * first[name].float() + 0.75 * last[name].float()).bfloat16()), name

    # A restart needs the weights of its beginning in bf16 and nothing else of the checkpoint.
    state = torch.load(stopped / "last.pt", weights_only=True)
    state["model"] = {name: tensor.bfloat16().float() for name, tensor in state["model"].items()}
    for opt in state["opts"]:
        for kept in opt["state"].values():
            kept.update({name: value + 1 for name, value in kept.items() if torch.is_tensor(value)})
    torch.save(state, stopped / "last.pt")
    assert [record["step"] for record in train(plan, stopped)] == [3]
    again = load_file(stopped / "three.safetensors")
    assert all(torch.equal(again[name], last[name]) for name in last)

    (stopped / "one.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"one\.safetensors is not in .* but enters the mean"):
        next(train(plan, stopped))


def test_shares_make_one() -> None:
    assert set(PLAN.shares) == {phase.name for phase in PLAN.phases if phase.share}
    with pytest.raises(ValueError, match=r"make 0\.5 and not 1"):
        Plan(1, (Phase("a", 20, TREES, share=0.5), Phase("b", 40, TREES)))


def test_no_wording_of_the_examples_is_in_the_corpus() -> None:
    examples = corpus.excluded()
    assert examples
    for tree in islice(corpus.trees("leak", TREES), 300):
        for branch in tree.branches:
            for question, answer in branch:
                key = corpus.content_key(question)
                assert len(key) < 2 or key not in examples, question
                assert "$6.99" not in answer or "$14.99" not in answer


def test_probes_are_held_out() -> None:
    for kind in probes.KINDS:
        for language in ("en", "ja"):
            found = probes.probes(kind, language, 6)
            assert found == probes.probes(kind, language, 6)
    probe = probes.probes("reading", "en", 1)[0]
    assert all(value in probe.system for value in probe.values)
    assert probe.question not in probe.system


def test_prompts_are_written_as_when_the_weights_were_made() -> None:
    text = prompts.write(prompts.NEUTRAL["en"], [("When?", "At 9."), ("Who?", "Nora.")], "en")
    assert text == (
        "You are a helpful support assistant.\n"
        "Answer from these facts. If the answer is not there, say that you don't have it."
        "\n\nQ: When?\nA: At 9.\n\nQ: Who?\nA: Nora."
    )


def test_scores() -> None:
    assert holds("It is $6.99.", "$6.99") and not holds("It is $16.990", "$6.99")
    assert holds("3-5 business days.", "3-5 business days") and not holds("13-5 business days", "3-5 business days")
    assert holds("送料は500円です", "500円")
    assert judge(probes.Probe("", "", ("$5",), declined=True), "I don't have that information.") == (1, 1)
    assert judge(probes.Probe("", "", ("$5",), declined=True), "I don't have $5.") == (0, 1)
    low, high = wilson(40, 40)
    assert 0.9 < low < 1 and high == 1.0
    assert wilson(0, 40)[0] == 0.0 and wilson(0, 40)[1] > 0.05


def test_muon_steps_are_near_orthogonal() -> None:
    torch.manual_seed(0)
    for shape in ((3, 64, 64), (2, 32, 96), (2, 96, 32)):
        values = torch.linalg.svdvals(orthogonalise(torch.randn(shape)))
        assert values.median() > 0.6 and values.max() < 1.6


@pytest.mark.skipif(not (FOLDER / "model.safetensors").exists(), reason="the weights are not there")
def test_the_weights_load_and_read_a_fact() -> None:
    config = json.loads((FOLDER / "config.json").read_text(encoding="utf-8"))
    assert config["hidden_size"] % 256 == 0 and config["intermediate_size"] % 256 == 0
    assert (FOLDER / "model.safetensors").stat().st_size < 32_000_000
    model = AutoModelForCausalLM.from_pretrained(FOLDER)
    assert model.dtype == torch.bfloat16
    assert sum(p.numel() for p in model.parameters()) < 16_000_000
    exact, encoder = load(FOLDER)
    score, _ = measure(exact, encoder, "reading, one fact", "en", 12)
    assert score.right >= 8


@pytest.mark.parametrize("name", ["en", "en-wide", "ja", "ja-wide"])
def test_no_wording_of_the_corpus_is_a_held_out_one(name: str) -> None:
    """Every filling of every line, compared by content words within its topic."""
    asked = wordings.blocks(name)
    for topic in shops.topics(name[:2]):
        held_out = {
            corpus.content_key(text.replace("{L}", label))
            for pattern in topic.asks_held_out
            for text in fillings(pattern)
            for label in topic.labels
        }
        assert held_out and asked[topic.name]
        for line in asked[topic.name]:
            assert not held_out & {corpus.content_key(text) for text in fillings(line)} - {frozenset()}, line


def fillings(text: str) -> list[str]:
    parts = re.split(r"\[([^\[\]]*)\]", text)
    choices = [part.split("|") if number % 2 else [part] for number, part in enumerate(parts)]
    return ["".join(chosen) for chosen in itertools.product(*choices)]


@pytest.mark.parametrize("seed", range(20))
def test_a_japanese_shop_told_otherwise_keeps_its_values(seed: int) -> None:
    shop = shops.invent_shop(seed, 12, "ja")
    told = japanese.retell(shop, Random(seed))
    assert len(told.rows) == len(shop.rows)
    for row, before in zip(told.rows, shop.rows, strict=True):
        assert all(value in row.answer for value in row.values), row
        assert all(value in row.short for value in row.short_values), row
        assert (row.topic, row.labels, len(row.values)) == (before.topic, before.labels, len(before.values))
    assert any(row.answer != before.answer for row, before in zip(told.rows, shop.rows, strict=True))


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize("seed", range(20))
def test_a_shop_told_in_other_words_keeps_its_subjects(seed: int, language: str) -> None:
    shop = shops.invent_shop(seed, 12, language, "support")
    told = tellings.retell(shop, Random(seed))
    for row, before in zip(told.rows, shop.rows, strict=True):
        assert row.values and all(value in row.answer for value in row.values), row
        assert not set("{}") & set(row.answer), row
        assert (row.topic, row.labels, row.question) == (before.topic, before.labels, before.question)
    assert any(row.answer != before.answer for row, before in zip(told.rows, shop.rows, strict=True))


UNITS = {
    "en": r"\b(business|working|days?|hours?|weeks?|months?|minutes?|items?|countries|dollars?)\b",
    "ja": r"営業日|日間|日|時間|週間|か月|ヶ月|分|円|個|か国|ドル",
}


def sentences(text: str, language: str) -> set[str]:
    """What its sentences say beside their values and units; a slot of the corpus and a value count as one."""
    parts = re.split(r"(?<=[.!])\s+" if language == "en" else r"。", text)
    values = r"\{[a-z]+\d\}|[$¥]?\d[\d.,:+-]*%?|[\w.@-]*\.example[\w/]*"
    return {
        re.sub(r"[\W\d_]+", " ", re.sub(UNITS[language], "", re.sub(values, "", part.lower()))).strip()
        for part in parts
    }


def test_a_sentence_is_known_again_by_its_words() -> None:
    assert sentences("Express shipping costs {money1} and takes {range1}.", "en") == sentences(
        "Express shipping costs $14.99 and takes 1-2 business days.", "en"
    )
    assert sentences("Mail {email1} within {dur1}! Thanks.", "en") == {"mail within", "thanks"}
    assert sentences("送料は{money1}、{range1}で届きます。", "ja") == sentences(
        "送料は500円、3〜5営業日で届きます。", "ja"
    )


@pytest.mark.parametrize("language", ["en", "ja"])
def test_no_answer_of_the_examples_is_in_the_corpus(language: str) -> None:
    lines = (ROOT / f"examples/support-{language}.jsonl").read_text(encoding="utf-8").splitlines()
    told = {sentence for line in lines for sentence in sentences(json.loads(line)["answer"], language)} - {""}
    answers = wordings.blocks(f"answers-{language}")
    assert set(answers) == {topic.name for topic in shops.topics(language)} and len(told) > 10
    for line in (line for block in answers.values() for line in block):
        assert not told & sentences(line, language), line


@pytest.mark.parametrize("language", ["en", "ja"])
def test_every_frame_can_be_filled(language: str) -> None:
    for kind, lines in wordings.blocks(f"frames-{language}").items():
        for line in lines:
            for text in fillings(line):
                assert not set("[]|") & set(text), line
                slots = set(re.findall(r"\{(\w+)\}", text))
                assert slots == {"L"} if kind != "verbs" else slots in ({"verb", "thing"}, {"doing", "thing"}), line
