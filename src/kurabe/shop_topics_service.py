"""Topics of invented English-speaking shops around their service: labels, wordings and answer sentences with slots.

Plain text, one topic per block; it knows nothing about values, shops, languages or models (`shops.py` fills it).
`#` kind and labels, `?` wordings, `?!` held-out wordings, `=` short form, `!` main sentences, `+` further sentences.
`[a|b]` is a choice, `{money1}` a slot, `{L}` one of the labels.
"""

SERVICE = """
# contact: customer service / the support team / customer support
? Who [answers|can answer] my questions?
? How do I [write to|call|phone|e-mail|get] you?
? I [want|need] to [talk|speak] to [someone|somebody|a person].
? I have a [problem|complaint|question]. Whom do I [call|ask|write to]?
? Is there a [hotline|help line|telephone number|mail address]?
? How [can|do] I [contact|reach] [you|support|customer service]?
? What's your [phone number|e-mail address|e-mail]?
? How do I talk to a [person|human|real person]?
? Who can help me with a problem?
?! Where can I get hold of someone on your team?
?! What number do I dial for help?
= {phone1}, {email1}
! Call us at {phone1}.
! You can reach us at {email1} or {phone1}.
! Write to {email1} and we answer within {dur1}.
+ We are there {daysr1}, {hours1}.
+ We usually reply within {dur1}.
# hours: opening hours / business hours / store hours
? [At|From] what time [do you|does the shop] [open|start]?
? [Are you|Is anybody there] [open|there] [now|in the evening|at noon|tonight|on weekdays]?
? Until what time can I [come|visit|shop]?
? When can I [visit|come in|come by]?
? When [are you|is the shop|is the store] open?
? What are your [opening hours|hours]?
? [Until when|How late] are you open?
? When do you [open|close]?
? Are you open on [Sunday|Saturday|weekends]?
?! At what time can I come by?
?! When do your doors close?
= {daysr1}, {hours1}
! We are open {daysr1} from {hours1}.
! Opening hours are {hours1}, {daysr1}.
! Our doors are open {hours1}.
+ On {day1} we close at {time1}.
+ We are closed on {day2}.
# dur: the warranty / the guarantee / warranty cover
? What if [it|the product] [breaks|fails|stops] [later|next year]?
? [For how|How] long am I [covered|protected]?
? Do I get [free repairs|a guarantee]?
? How many [months|years] of [cover|warranty|guarantee] do I get?
? How long is the warranty?
? Is there a guarantee on [your products|this]?
? What does the warranty cover?
? My item broke after some months. Is it covered?
?! For how many years are repairs free?
?! Am I covered if it stops working?
= {long1}
! All products have a warranty of {long1}.
! The warranty lasts {long1}.
! Our guarantee covers you for {long1}.
+ An extension costs {money1}.
+ Register at {url1}.
# money: gift cards / gift vouchers / gift certificates
? I need a present for [a friend|my mother]. Do you have [cards|vouchers]?
? What is the [lowest|highest] amount on a card?
? When does a [voucher|gift card] expire?
? Do you [sell|have|offer] [gift cards|vouchers]?
? How long is a gift card valid?
? What amounts do gift cards come in?
? Can I buy a voucher [for a friend|as a present]?
?! I'd like to give someone store credit as a present. How?
?! Does a voucher run out?
= from {money1} to {big1}, valid {long1}
! Gift cards are sold from {money1} to {big1}.
! Gift cards are valid for {long1}.
! We sell gift cards from {money1} and they are valid for {long1}.
+ Buy them at {url1}.
+ The balance is shown at {url1}.
# money: gift wrapping / gift wrap / wrapping as a gift
? It is a [gift|present|surprise]. Can you [wrap|pack] it?
? Do you have [wrapping|nice] paper?
? Could you add a [ribbon|greeting card]?
? [Can|Could] you wrap [it|my order] as a gift?
? What does gift wrapping cost?
? Do you offer gift [wrap|boxes]?
?! It's a present; would you pack it nicely?
?! How much to put a ribbon and paper around it?
= {money1}
! Gift wrapping costs {money1} per item.
! We wrap gifts for {money1}.
+ A greeting card is {money2} more.
+ Choose it in the cart before {time1}.
# money: the membership / the membership fee / the loyalty club
? Is it worth becoming a member?
? How do I become a member?
? What are the [advantages|benefits] for members?
? I want to [join|leave] the club.
? How much is [a|the] membership?
? What do I get as a member?
? How do I join [your club|the loyalty programme]?
? What does it cost to be a member?
?! What would joining set me back every year?
?! Which advantages do club members have?
= {money1} per year, {pct1} off
! Membership costs {money1} per year.
! Members pay {money1} a month and get {pct1} off.
+ Members get {pct1} off every order.
+ You can leave with {dur1} notice.
# pct: the student discount / student prices / the discount for students
? I am [a student|at school|at university]. [Is it cheaper|Do I pay less|Any reduction]?
? What do [students|pupils] pay?
? Is there a student discount?
? Do students [pay less|get a discount]?
? What do I save with a student card?
?! I study at university. Any reduction for me?
?! How much off for people in education?
= {pct1}, code {code1}
! Students get {pct1} off.
! The student discount is {pct1} with the code {code1}.
+ Use the code {code1}.
+ Show your card or verify at {url1}.
# money: the minimum order / the minimum order value / the smallest order
? Is [a small order|one item|very little] [okay|enough|possible]?
? How much must I [spend|order|buy] at least?
? Is there a minimum order?
? What's the least I [can|must] order?
? How small can an order be?
?! Do I have to spend a certain amount?
?! What is the lowest order you take?
= {money1}
! The minimum order is {money1}.
! Orders start at {money1}.
+ Below that we add a fee of {money2}.
+ Companies order from {n1} items.
# place: store pickup / click and collect / picking up an order
? [Can|May] I [get|fetch] [it|my parcel] at the [shop|store|counter]?
? How long will my order wait for me?
? Where [is|are] [pickup|the pickup desk|collections]?
? Can I [pick up|collect] my order [in store|myself]?
? Where do I pick up my order?
? How long do you hold a pickup order?
? Is pickup free?
?! I'd rather fetch it myself. Where and when?
?! May I come and get my parcel?
= {place1}, held {dur1}
! Pick up your order at {place1}.
! Collection is at {place1} and we hold orders for {dur1}.
! Orders are ready for pickup after {dur1}.
+ Bring your order number and {thing1}.
+ We keep it for {dur1}.
# policy: exchanges / an exchange / exchanging an item
? It [is too small|is too big|doesn't fit]. [What now|Can I get another one|Can I change it]?
? Can I [swap|change|trade] [it|this] for [a bigger one|another colour|something else]?
? I want another size.
? [Can|How do] I exchange [an item|it for another size]?
? I need a different size. What do I do?
? What is your exchange policy?
?! The size is wrong, can I swap it?
?! May I trade this colour for another?
= within {dur1}, {money1}
! You can exchange items within {dur1}.
! An exchange costs {money1} and takes {range1}.
+ Use the form at {url1}.
+ The first exchange is free.
# code: the discount code / the coupon / the promo code
? Do you have [an offer|a deal|something cheaper] [now|for new customers]?
? What do I [type|enter] [at checkout|to pay less|to save]?
? Do you have a [discount|coupon|promo] code?
? How do I use a [coupon|promo code|voucher code]?
? Is there a [sale|special offer] now?
?! Any way to save on my first order?
?! What word do I type at checkout to pay less?
= {code1}, {pct1} off
! Use the code {code1} for {pct1} off.
! The code {code1} takes {money1} off your first order.
+ It is valid until {date1}.
+ It works from {big1}.
# how: the account password / a password reset / my login
? I don't [know|remember] my password.
? My account is [locked|blocked].
? I cannot [sign in|get into my account|open my account].
? How do I get a new password?
? I forgot my password. What do I do?
? How do I reset my password?
? I can't log in. Can you help?
? How long is the reset link valid?
?! I'm locked out of my account. How do I get in?
?! My login no longer works.
= {url1}, valid {dur1}
! Reset your password at {url1}.
! We send a reset link that is valid for {dur1}.
+ The link is valid for {dur1}.
+ After {n1} tries your account is locked for {dur2}.
# yn: assembly / the assembly service / setting up furniture
? I [can't|cannot] build it [myself|alone]. [Can you|Will somebody] help?
? Do you [mount|install|build] it at [home|my house]?
? Do you [assemble|set up|build] [furniture|the product]?
? What does assembly cost?
? Can someone put it together for me?
?! I'm no good with tools. Can you build it?
?! Will a worker mount it at my house?
= {yn1}, {money1}
! {yn1}, assembly costs {money1}.
! {yn1}, we can do that within {range1}.
+ It takes about {mins1}.
+ Book it at {url1}.
# money: repairs / a repair / the repair service
? Do you [fix|mend|repair] [things|broken products|old devices]?
? It [doesn't work|is not working|stopped]. Can [someone|you] fix it?
? How [much|long] for a repair?
? Can you repair [my device|it]?
? What does a repair cost?
? How long does a repair take?
? My product stopped working. Do you fix it?
?! Could somebody mend this for me?
?! What do you ask for fixing a defect?
= from {money1}, {range1}
! Repairs cost from {money1} and take {range1}.
! A repair costs {money1} per hour.
! Repairs take {range1}.
+ Bring it to {place1}.
+ An estimate costs {money2}.
# money: the subscription / the subscription box / the monthly plan
? How do I [end|stop|leave] [the plan|my subscription]?
? What do I pay [each|every|per] month?
? Can I take a break from the plan?
? How much is the subscription?
? How do I cancel my subscription?
? Can I pause [my|the] subscription?
? What does the monthly plan cost?
?! What leaves my bank account each month?
?! How do I stop the monthly payments?
= {money1} a month, {dur1} notice
! The subscription costs {money1} a month.
! You can cancel the subscription with {dur1} notice.
+ You can pause it for {dur1}.
+ The yearly plan costs {big1}.
# dur: stock / restocking / items out of stock
? It is [gone|sold out|not available]. When [is it back|does it return|do you have it again]?
? When do new [goods|items|products] [come|arrive]?
? When will it be [back in stock|available again]?
? It says sold out. When do you get more?
? How often do you restock?
?! The thing I want is gone. When does the next batch come?
?! How long till the shelf is filled again?
= {range1}
! Sold-out items are back in {range1}.
! We restock every {day1}.
+ We write to you when it is back.
+ Reserve one at {url1}.
# list: sizes / available sizes / the sizes
? Is there a [big|small|tall] one?
? Does it come in [my size|large|size M]?
? What sizes do you have?
? Which sizes are there?
? Do you have [small|large|extra large]?
?! I'm very tall. Does it come in my size?
?! From which to which size is it made?
= {sizes1}
! It comes in {sizes1}.
! We have {sizes1}.
+ The size chart is at {url1}.
+ Other sizes take {range1}.
# list: colours / available colours / the colours
? Can I get it in [another colour|a different colour|red|white]?
? Which [shades|colours] [are there|do you make]?
? What colours do you have?
? Which colours does it come in?
? Is it available in [blue|red|green|black]?
?! Are there other shades?
?! I don't like this shade. What else is there?
= {colours1}
! It comes in {colours1}.
! We offer {colours1}.
+ Other colours cost {money1} more.
"""
