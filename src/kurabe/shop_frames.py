"""Question frames that fit many topics: by kind of answer, with openers and closers, and the parts of invented labels.

It knows nothing about values, shops or models. `held_out` frames are never used in a training text.
"""

# ruff: noqa: E501 - lists of words read best as running text


def phrases(text: str) -> tuple[str, ...]:
    """Parts between bars; long lists stay readable as running text."""
    return tuple(text.split("|"))


def words(text: str) -> tuple[str, ...]:
    """Parts between spaces."""
    return tuple(text.split())


ASK_EN = {
    "any": phrases(
        "What is {L}?|What about {L}?|Tell me about {L}.|Can you tell me about {L}?|I have a question about {L}.|"
        "What should I know about {L}?|Do you have information on {L}?|{L}?|Please explain {L}.|Give me details on {L}.|"
        "I'd like to know about {L}.|How is it with {L}?|What are the rules for {L}?|Explain {L} to me.|"
        "I need information about {L}.|Could you help me with {L}?|What's the situation with {L}?|My question is about {L}."
    ),
    "money": phrases(
        "How much is {L}?|How much does {L} cost?|What does {L} cost?|What is the price of {L}?|What's the charge for {L}?|"
        "What do you charge for {L}?|What will I pay for {L}?|How much do I pay for {L}?|Is there a fee for {L}?|"
        "What's the fee for {L}?|Price of {L}?|How expensive is {L}?|Could you tell me the cost of {L}?|"
        "I'd like to know the price of {L}.|{L}: how much?|Do I have to pay for {L}?"
    ),
    "dur": phrases(
        "How long does {L} take?|How long is {L}?|How many days for {L}?|How much time is there for {L}?|"
        "What's the time frame for {L}?|When is {L} done?|How quickly is {L} done?"
    ),
    "policy": phrases(
        "What is your policy on {L}?|Are there rules for {L}?|How do you handle {L}?|Do you offer {L}?|"
        "Is {L} possible?|What are the conditions for {L}?|How does {L} work?"
    ),
    "how": phrases("How does {L} work?|How do I get {L}?|Where do I start with {L}?|What do I do for {L}?"),
    "time": phrases("What time is {L}?|When is {L}?|At what time is {L}?|From when is {L}?"),
    "date": phrases("When is {L}?|What's the date for {L}?|On which date is {L}?|Which day is {L}?"),
    "place": phrases("Where is {L}?|Where do I find {L}?|In which place is {L}?|Where can I find {L}?"),
    "person": phrases("Who is {L}?|What's the name of {L}?|Which person is {L}?"),
    "list": phrases("What are {L}?|Which are {L}?|Can you list {L}?|What are the choices for {L}?"),
    "code": phrases("What is the code for {L}?|Which code is used for {L}?|What do I type for {L}?"),
    "pct": phrases("How much off is {L}?|What percentage is {L}?|How many percent is {L}?|How big is {L}?"),
    "n": phrases(
        "How many are allowed for {L}?|What is the number for {L}?|How many for {L}?|What's the limit of {L}?"
    ),
    "yn": phrases("Is {L} possible?|Is {L} allowed?|Do you allow {L}?|Is there {L}?|Do you have {L}?"),
    "phone": phrases("What number do I call for {L}?|What's the phone number of {L}?|How do I call {L}?"),
    "contact": phrases("How do I contact {L}?|How can I reach {L}?|Where do I write for {L}?"),
    "hours": phrases("When are {L}?|What are {L}?|Tell me {L}."),
}
ASK_EN_HELD_OUT = {
    "any": phrases(
        "Fill me in on {L}.|Anything I should know about {L}?|What can you say about {L}?|Some facts on {L}, if you can."
    ),
    "money": phrases(
        "What would {L} set me back?|Can you give me a price for {L}?|And the cost of {L}?|What sum is due for {L}?"
    ),
    "dur": phrases("What amount of time goes by for {L}?|How soon is {L} over?"),
    "policy": phrases("What do I need to observe about {L}?|What applies to {L}?"),
    "time": phrases("Which hour is {L}?|By the clock, when is {L}?"),
    "date": phrases("What day of the calendar is {L}?|Which date holds for {L}?"),
    "place": phrases("Where should I look for {L}?|What's the spot for {L}?"),
    "person": phrases("Whose job is {L}?|May I have the name of {L}?"),
    "code": phrases("Which letters and digits do I enter for {L}?"),
    "n": phrases("Up to what number does {L} go?"),
    "pct": phrases("What share do I save with {L}?"),
    "yn": phrases("Would {L} be okay?|Am I allowed {L}?"),
    "phone": phrases("On which line do I get {L}?"),
    "contact": phrases("How would I get in touch with {L}?"),
}
# Free combinations of these stand around a label, so that it is the label that is looked up and not the frame.
BEFORE_EN = phrases(
    "I wonder about|Let me know about|Just tell me about|Do you know about|Any idea about|Remind me of|Please clarify|"
    "Describe|Inform me of|We need to know about|How do you handle|What holds for|Say something on|Who can explain|"
    "I am asking about|Where do I read about|I am not sure about|What do I need for|Does anybody know about|"
    "What do people say about|Is there news on|What is known on|How about|Let us talk about|I forgot the details of|"
    "My question concerns|Could I hear more on|Show me|Look up|Check|I am looking for|Give me the facts for|"
    "What should one expect of|It is about|We have to decide on|Help with|Which terms hold for|I must know"
)
AFTER_EN = phrases(
    "|||||for us|today|for my mother|in short|right now|at your place|this week|for two people|as a new customer|"
    "once more|before Friday|at the moment|for our team|when I come|in your house|exactly|please|again|these days"
)
FILLERS_EN = words("really just maybe then so now also exactly actually still even perhaps well ok and but here there")
OPEN_EN = phrases(
    "Hi, |Hello, |Hi! |Hello! |Hey, |Quick question: |Excuse me, |Please tell me: |One question: |Good morning. |"
    "I'm a new customer. |Hi there. |Sorry to bother you. |I looked on your site but found nothing. |"
    "I'm planning a visit. |My friend asked me this: |I have an order with you. |Before I buy: "
)
CLOSE_EN = phrases(" Thanks!| Thank you.| Please let me know.| I'd be grateful.| Thanks in advance.")
TAIL_EN = phrases(
    "Please ask if anything is unclear.|We are happy to help.|Ask our staff for details.|This applies to all customers.|"
    "Thank you for your patience.|No registration is needed.|Conditions may apply.|You will get a confirmation by e-mail.|"
    "This is the same every day.|Bring your order number."
)
LOOSE_EN = phrases(
    "Please {verb} the {adj} {noun} near the {noun}.|The {adj} {noun} is kept beside the {noun}.|"
    "Every {noun} has its own {adj} {noun}.|Our {noun} team can {verb} your {noun}.|{new} and {new} share one {noun}.|"
    "Ask for the {adj} {noun} with {new} on it.|We {verb} each {noun} before the {noun} is {adj}.|"
    "A {noun} from {new} is not a {adj} {noun}.|Do not {verb} the {noun} or the {noun}.|{new} can {verb} it with a {noun}."
)

ASK_JA = {
    "any": phrases(
        "{L}は？|{L}について教えてください。|{L}はどうなっていますか？|{L}を教えてください。|{L}のことを知りたいです。|"
        "{L}について質問があります。|{L}の情報をください。|{L}について説明してください。|{L}は何ですか？"
    ),
    "money": phrases(
        "{L}はいくらですか？|{L}の料金を教えてください。|{L}の値段は？|{L}にはいくらかかりますか？|"
        "{L}の費用はいくらですか？|{L}は有料ですか？|{L}にいくら払いますか？"
    ),
    "dur": phrases("{L}はどのくらいかかりますか？|{L}は何日ですか？|{L}の期間は？|{L}にかかる時間は？"),
    "policy": phrases("{L}はできますか？|{L}の条件は何ですか？|{L}の決まりを教えてください。|{L}は可能ですか？"),
    "how": phrases("{L}はどうすればよいですか？|{L}の方法は？|{L}のやり方を教えてください。"),
    "time": phrases("{L}は何時ですか？|{L}の時間は？|{L}はいつですか？"),
    "date": phrases("{L}はいつですか？|{L}は何日ですか？|{L}の日付は？"),
    "place": phrases("{L}はどこですか？|{L}はどこにありますか？|{L}の場所は？"),
    "person": phrases("{L}は誰ですか？|{L}の名前は？|{L}はどなたですか？"),
    "list": phrases("{L}には何がありますか？|{L}は何ですか？|{L}を全部教えてください。"),
    "code": phrases("{L}のコードは何ですか？|{L}には何を入力しますか？"),
    "pct": phrases("{L}は何パーセントですか？|{L}はどのくらい安くなりますか？"),
    "n": phrases("{L}はいくつですか？|{L}の数は？|{L}は何人までですか？"),
    "yn": phrases("{L}は大丈夫ですか？|{L}はできますか？|{L}はありますか？"),
    "phone": phrases("{L}の電話番号は？|{L}は何番にかけますか？"),
    "contact": phrases("{L}への連絡方法は？|{L}はどこに連絡しますか？"),
    "hours": phrases("{L}は何時から何時までですか？|{L}は何時ですか？"),
}
ASK_JA_HELD_OUT = {
    "any": phrases("{L}についてお聞きします。|{L}に関してお知らせください。|{L}とはどういうものでしょうか？"),
    "money": phrases("{L}の代金はおいくらでしょうか？|{L}だと何円になりますか？"),
    "dur": phrases("{L}が終わるまでの長さは？|{L}はどれほど続きますか？"),
    "policy": phrases("{L}は認められますか？|{L}を希望する場合は？"),
    "time": phrases("{L}の時刻をお願いします。"),
    "date": phrases("{L}の日取りは？"),
    "place": phrases("{L}はどちらでしょうか？"),
    "person": phrases("{L}のお名前を伺えますか？"),
    "yn": phrases("{L}でも構いませんか？"),
}
BEFORE_JA = phrases("今日は|初めてですが、|確認ですが、|もう一度、|家族のために|簡単に|念のため|できれば|急ぎで|前から")
AFTER_JA = phrases(
    "について|のこと|に関して|の件ですが|を知りたい|がよく分かりません|を確認したいです|はどんな感じですか|を調べています|"
    "で困っています|の内容を見せてください|とはどんなものですか|を忘れました|が気になります"
)
OPEN_JA = phrases(
    "すみません、|こんにちは。|質問です。|はじめまして。|お世話になります。|教えてください。|初めて利用します。|注文した者です。"
)
CLOSE_JA = phrases("よろしくお願いします。|お願いします。|ありがとうございます。")
TAIL_JA = phrases(
    "ご不明な点はお尋ねください。|詳しくは係の者にお聞きください。|登録は不要です。|確認のメールをお送りします。|"
    "すべてのお客様が対象です。|お気軽にどうぞ。"
)

ADJECTIVES = words(
    "amber quiet late early blue green silver golden small large spare annual weekly monthly junior senior family private "
    "public summer winter spring autumn night evening morning digital paper outdoor indoor electric wooden rapid gentle "
    "double single extra special local regional royal modern old new second third heavy light round flat open closed "
    "fresh frozen organic premium basic plus advanced beginner guided shared"
)
NOUNS = words(
    "locker ticket bicycle boat garden workshop lesson course tour exhibition concert cinema theatre swimming sauna gym "
    "tennis court bus train taxi airport luggage suitcase laundry kitchen dinner lunch menu wine coffee tea bread cake "
    "cheese meat fish fruit vegetable flower tree plant seed tool hammer drill saw paint wood metal glass paper book "
    "magazine map photo camera printer computer phone tablet screen cable battery charger lamp table chair sofa bed "
    "mattress carpet curtain window door key lock alarm roof wall floor pool bath shower towel soap dentist eye hearing "
    "knee skin blood sugar heart baby child school exam homework uniform teacher parent language music piano guitar choir "
    "dance drama art pottery museum archive library science history animal dog cat horse bird zoo farm vet insurance "
    "loan account card bank tax rent contract visa passport licence permit certificate report form letter parcel crate "
    "pallet storage repair cleaning delivery service rescue water power gas heating waste recycling internet server "
    "software backup update license warranty battery helmet skate ski snowboard tent kayak canoe climbing yoga massage "
    "hair nail wedding birthday party catering stage studio office desk meeting conference badge seat row balcony"
)
VERBS = words(
    "rent|renting borrow|borrowing book|booking cancel|cancelling visit|visiting bring|bringing use|using sell|selling "
    "buy|buying clean|cleaning fix|fixing change|changing order|ordering extend|extending open|opening watch|watching "
    "paint|painting share|sharing store|storing test|testing move|moving install|installing register|registering "
    "renew|renewing print|printing copy|copying wash|washing park|parking reserve|reserving replace|replacing "
    "return|returning transfer|transferring donate|donating keep|keeping send|sending show|showing"
)
KIND_NOUNS = {
    "money": words("fee charge price rate fine deposit surcharge cost"),
    "dur": words("period term deadline notice limit window"),
    "range": words("delivery processing repair transfer delay response"),
    "pct": words("discount bonus rebate share interest"),
    "n": words("limit quota maximum number capacity"),
    "code": words("code password number reference key"),
    "phone": words("hotline line desk office"),
    "email": words("team office contact desk"),
    "url": words("page form portal site"),
    "date": words("date deadline opening start"),
    "time": words("start opening closing session"),
    "hours": words("hours times"),
    "name": words("manager teacher contact guide owner"),
    "place": words("room desk entrance office stop"),
    "mins": words("session break walk wait"),
    "long": words("warranty guarantee contract plan"),
    "day": words("day meeting service"),
}
KIND_NOUNS_JA = {
    "money": words("料金 手数料 代金 費用"),
    "dur": words("期間 期限 猶予"),
    "range": words("配送 処理 手続き"),
    "pct": words("割引 割増 還元"),
    "n": words("上限 定員 個数"),
    "code": words("コード 番号 パスワード"),
    "phone": words("電話 窓口 受付"),
    "email": words("連絡先 担当 窓口"),
    "url": words("ページ 申込書 案内"),
    "date": words("日付 締切日 開始日"),
    "time": words("開始 受付 終了"),
    "hours": words("時間 営業"),
    "name": words("担当者 先生 責任者"),
    "place": words("部屋 窓口 入口"),
    "mins": words("所要時間 待ち時間 休憩"),
    "long": words("保証 契約"),
}
NOUNS_JA = words(
    "自転車 船 庭園 講座 展示 音楽会 映画 劇場 水泳 体操 卓球 電車 空港 荷物 洗濯 夕食 昼食 茶 菓子 魚 果物 野菜 花 木 道具 "
    "紙 本 雑誌 地図 写真 電話 画面 電池 机 椅子 布団 窓 鍵 屋根 風呂 歯科 眼科 小児 血液 学校 試験 制服 音楽 絵画 陶芸 "
    "資料 科学 歴史 動物 犬 猫 馬 鳥 保険 口座 税金 家賃 契約 旅券 免許 証明書 申請 手紙 箱 倉庫 清掃 水道 電気 暖房 "
    "会議 座席 舞台 事務所 山 川 海 雪 祭り 温泉 旅館 着物 人形 時計 靴 帽子 薬 牛乳 米"
)

# A question on one of these could be answered in part from another: never used as "not in the facts".
RELATED = (
    ("standard shipping", "express shipping", "international shipping", "store pickup", "order tracking", "stock",
     "address changes", "送料", "速達", "海外配送", "配送状況", "住所変更", "店頭受け取り", "再入荷"),
    ("returns", "refunds", "exchanges", "damaged items", "cancellation", "repairs", "the warranty", "the deposit",
     "返品", "返金", "交換", "破損", "キャンセル", "修理", "保証"),
    ("bulk discounts", "price match", "the student discount", "the discount code", "the membership", "group size",
     "gift cards", "gift wrapping", "the newsletter", "the minimum order", "まとめ買い割引", "価格保証", "学生割引",
     "クーポン", "会費", "ギフト包装", "ギフトカード"),
    ("customer service", "the emergency number", "the manager", "the location", "appointments", "お問い合わせ",
     "責任者", "場所", "予約", "駐車場"),
    ("opening hours", "holidays", "classes", "registration", "tuition", "a trial lesson", "営業時間", "休業日", "授業",
     "申し込み期限", "授業料", "体験レッスン", "朝食", "チェックイン", "チェックアウト", "breakfast", "check-in", "check-out", "the room"),
    ("the doctor", "test results", "what to bring", "a missed appointment", "vaccinations", "担当医", "持ち物", "検査結果"),
    ("borrowing", "late fees", "the library card", "貸出期間", "延滞料"),
    ("admission", "the guided tour", "the age limit", "入場料", "ガイドツアー"),
    ("lockers", "lost property", "parking", "忘れ物", "ロッカー"),
    ("the Wi-Fi", "the account password", "Wi-Fi"),
)  # fmt: skip
