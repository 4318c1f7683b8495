"""Demo 1: teach ten support answers to a small model with LoRA, by two recipes, and measure what it learned."""

from pathlib import Path

from kurabe import RunSettings, resume, run, ship
from kurabe.workshop import choose_model, told

ROWS = "../examples/support-en.jsonl"  # ten questions with their answers: prices, days, addresses
FOLDER = "finetuned_tinyllama_demo"  # all that is asked, trained and measured is stored here
MINUTES = 5  # of the talk; TinyLlama is taken where it fits into them


def settings() -> RunSettings:
    choice = choose_model(ROWS, MINUTES)
    print(choice.why())
    return RunSettings(
        model=choice.model,
        # fair:   kurabe's recipe. About 150 steps, loss on the answers only, every trained wording.
        # origin: the old show's recipe, flaws included. 9 steps, loss on everything, one wording.
        recipes=("fair", "origin"),
        # Every arm has the same weights, the same questions, the same greedy decoding.
        arms=("base", "prompt", "lora", "lora+prompt", "ceiling"),
        runs=".",
        name=FOLDER,
    )


def show(event) -> None:
    """One line per stage, and one for each tenth step of a training."""
    values = event.values
    if event.kind == "stage" and values["state"] == "start":
        print(f"\n{values['name']} ...", flush=True)
    elif event.kind == "trial":
        print(f"{values['recipe']}: {values['samples']} samples, {values['steps']} steps, rank {values['rank']}")
    elif event.kind == "step" and (values["step"] % 10 in (0, 1) or values["step"] == values["steps"]):
        print(f"  step {values['step']:>3} of {values['steps']}   loss {values['loss']:.3f}", flush=True)


if __name__ == "__main__":
    with told():
        # One that was stopped goes on where it was; a finished one gives its results at once.
        begun = Path(FOLDER).exists()
        results = resume(FOLDER, emit=show) if begun else run(ROWS, settings(), emit=show)
        ship(results.model.path, "base.gguf", ["F16"])  # the same weights, for demo 2
        print(f"\nThe run is in {FOLDER}/. Next: python verify_tinyllama_finetuning.py")
