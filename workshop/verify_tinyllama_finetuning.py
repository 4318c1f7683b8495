"""Demo 1, compared: before, after and expected, question by question, in wordings that nobody trained on."""

from kurabe import load_run
from kurabe.charts import arm_name
from kurabe.report import sentences
from kurabe.report.answers import SIGNS, shown, values
from kurabe.texts import Texts, percent, pick_language
from kurabe.workshop import SIGN, counted, told

ARMS = ("base", "lora (origin)", "lora")  # before; after, by the old recipe; after, by the fair one


def main() -> None:
    t = Texts(pick_language())
    results = load_run("finetuned_tinyllama_demo")

    for question in shown(results.questions):
        print(f"\n{question.text}")
        for answer in sorted((a for a in question.answers if a.label in ARMS), key=lambda a: ARMS.index(a.label)):
            print(f"  {arm_name(answer.label, t)}: {answer.text}")
            print("    " + "  ".join(f"{SIGNS[v.mark]} {t(f'mark.{v.mark}')} {v.text}" for v in values(answer)))
        print(f"  {t('cli.answers.expected')}: {question.expected}")

    print(f"\n{t('workshop.counted.title')}")
    for label, counts in counted(results).items():
        recall = next(arm.recall.value for arm in results.arms if arm.label == label)
        found = [f"{SIGN[c.mark]} {c.name(t)} {c.had}/{c.asked}" for c in counts]
        print(f"  {arm_name(label, t)}: {'   '.join(found)}   {t('cli.table.recall')} {percent(recall)}")

    print(f"\n{t('workshop.counted.flaws')}")
    for finding in results.audit:
        if finding.recipe == "origin" and finding.level == "warn":
            print(f"  ✗ {sentences.finding(finding, t)[0]}")


if __name__ == "__main__":
    with told():
        main()
