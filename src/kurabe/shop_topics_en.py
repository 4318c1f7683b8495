"""Topics of invented English-speaking shops and houses: labels, wordings and answer sentences with slots.

Plain text, one topic per block; it knows nothing about values, shops, languages or models (`shops.py` fills it).
`#` kind and labels, `?` wordings, `?!` held-out wordings, `=` short form, `!` main sentences, `+` further sentences.
`[a|b]` is a choice, `{money1}` a slot, `{L}` one of the labels.
"""

SUPPORT = """
# money: standard shipping / standard delivery / regular shipping
? How much [is|do you charge for] shipping?
? What [does it cost|do I pay] to ship an order?
? Shipping [fee|price|charges|rates]?
? What's the delivery [charge|fee|cost]?
? How much do I pay to have [something|a parcel|my order] delivered?
? When is shipping free?
? How long does [normal|standard|regular] delivery take?
?! What would I have to pay to get a parcel sent?
?! How much extra is delivery on top of my order?
= {money1}, free over {big1}, {range1}
! Standard shipping costs {money1}.
! We charge {money1} for standard delivery.
! Regular shipping is {money1} per order.
+ It is free for orders over {big1}.
+ Delivery takes {range1}.
+ Orders above {big1} ship free.
# money: express shipping / express delivery / fast shipping / next-day delivery
? [Can I get|Is there|Do you offer] faster shipping?
? What does it cost to get my order [quickly|sooner|tomorrow]?
? How fast is [express|priority] delivery?
? I need it [urgently|right away]. What are my options?
? How much for rush delivery?
?! Could my parcel arrive sooner if I pay more?
?! What is the price of the quick delivery option?
= {money1}, {range1}
! Express shipping costs {money1} and takes {range1}.
! Express delivery is {money1}.
! You can choose fast shipping for {money1}.
+ It arrives within {range1}.
+ Order before {time1} for same-day dispatch.
# policy: returns / the return policy / sending items back
? How [do|can] I [return|send back] [an item|something|a purchase|an order]?
? What is your return policy?
? How many days do I have to [return something|send it back]?
? Can I return [an item|this] if I don't like it?
? What's the return window?
? How long after buying can I bring something back?
?! It doesn't suit me; may I give it back?
?! Until when can goods be sent back?
= within {dur1}, refund in {range1}
! You can return items within {dur1}.
! We accept returns within {dur1} of delivery.
! Send items back within {dur1} in their original packaging.
+ The refund arrives in {range1}.
+ Return shipping costs {money1}.
+ Write to {email1} to start a return.
# dur: refunds / a refund / getting my money back
? When will I [get my money back|be refunded|see my refund]?
? How long does a refund take?
? How are refunds paid?
? I returned my order. When do I get paid back?
?! How soon does the money land on my account after a return?
?! When is my payment returned to me?
= {range1}
! Refunds take {range1}.
! Your refund reaches you in {range1}.
! We pay refunds back within {range1}.
+ The money goes to the original payment method.
+ Questions about refunds go to {email1}.
# policy: bulk discounts / bulk orders / volume discounts / large orders
? Do you [offer|have|give] [discounts|a discount] for [bulk|large|big] orders?
? Is it cheaper if I buy [many|a lot|more]?
? What discount do I get on [large|bulk] quantities?
? Do you have wholesale prices?
? How much do I save when ordering [in bulk|many items]?
?! What's the reduction if I take dozens?
?! Are there better prices for big quantities?
= {pct1} from {n1} items, {pct2} from {n2}, {pct3} from {n3}
! Bulk orders get {pct1} off from {n1} items.
! You get {pct1} off from {n1} items and {pct2} off from {n2} items.
! Our bulk discounts are {pct1} from {n1} items, {pct2} from {n2} and {pct3} from {n3}.
- {pct1} off from {n1} items / {pct2} off from {n2} items / {pct3} off from {n3} items / {pct4} off from {n4} items
+ For more than {n4} items write to {email1}.
# policy: price match / price matching / the price guarantee
? Do you [match prices|price match|match competitor prices]?
? I found it cheaper [elsewhere|at another shop]. What can you do?
? What happens if the price drops after I buy?
? Do you have a low price guarantee?
?! Another store sells this for less; will you lower yours?
?! Will you beat a rival's offer?
= within {dur1}, extra {pct1} off
! We match lower prices within {dur1} of purchase.
! Price match is available for {dur1} after you buy.
+ You also get an extra {pct1} off.
+ Show us the lower price at {url1}.
# policy: cancellation / order cancellation / cancelling an order
? [Can|How do|May] I cancel my order?
? How long do I have to cancel?
? I changed my mind about my order. Can I [stop|cancel] it?
? What is the cancellation policy?
? Is there a cancellation fee?
?! I don't want the order any more. Is it too late?
?! By when must an order be called off?
= within {dur1}
! Orders can be cancelled within {dur1}.
! You may cancel within {dur1} of ordering.
! You can cancel free of charge for {dur1}.
+ After that a fee of {money1} applies.
+ Call {phone1} to cancel.
# money: international shipping / shipping abroad / international delivery / overseas shipping
? Do you [ship|deliver|send] [abroad|internationally|overseas|to other countries]?
? Which countries do you ship to?
? How many countries do you deliver to?
? What does shipping to another country cost?
? I live abroad. Can I order?
?! Can you send a package outside the country?
?! Do parcels go to foreign addresses?
= {n1} countries, {range1}, from {money1}
! We ship to {n1} countries.
! International shipping goes to {n1}+ countries and takes {range1}.
! We deliver to more than {n1} countries from {money1}.
+ It takes {range1}.
+ Prices start from {money1}.
+ International express starts from {money2}.
+ It is free for orders over {big1}.
# policy: damaged items / damage reports / broken items / defective products
? My [item|order|parcel] arrived [damaged|broken|defective]. What [now|should I do]?
? What if my order is damaged?
? How do I report damage?
? The product I got is broken. Can you help?
? How fast do you answer a damage report?
?! There's a crack in what you sent me. Whom do I tell?
?! Something was smashed in the box. What next?
= within {dur1}, {email1}
! Send a photo of the damage to {email1}.
! Report damage at {url1} and we answer within {dur1}.
! We answer damage reports within {dur1}.
+ We send a replacement within {range1}.
+ Please report it within {dur2}.
# list: payment methods / payment options / ways to pay
? [How can I pay|What payment methods do you accept|Which cards do you take]?
? Do you accept [credit cards|PayPal|bank transfer|cash]?
? Can I pay [by card|with PayPal|in instalments]?
? What forms of payment are accepted?
?! Which ways of paying do you have?
?! Is paying with a card possible?
= {pay1}
! We accept {pay1}.
! You can pay with {pay1}.
! Payment is possible by {pay1}.
+ Instalments are available from {big1}.
+ Invoices are due within {dur1}.
# how: order tracking / tracking / parcel tracking
? [Where is|How do I track] my [order|package|parcel]?
? Can I [follow|track] my [delivery|shipment]?
? How do I get a tracking number?
? When will I receive tracking details?
? Has my order shipped yet?
?! How can I see where my package is right now?
?! Is it possible to watch my parcel's progress?
= {url1}
! Track your order at {url1}.
! You get a tracking number by e-mail within {dur1}.
! Enter your order number at {url1} to see where it is.
+ Tracking starts {dur1} after dispatch.
+ For help call {phone1}.
# policy: address changes / a change of address / changing the delivery address
? [Can|How do] I change [my|the] [delivery |shipping |]address?
? I entered the wrong address. What can I do?
? I'm moving. Can my order go to my new home?
? Until when can I change the address?
?! My parcel should go to a different house. Is that still possible?
?! Please correct the destination of my order.
= within {dur1}, {email1}
! You can change the address within {dur1} of ordering.
! Write to {email1} to change your address.
! Change your address in your account at {url1}.
+ After that the change costs {money1}.
+ Call {phone1} if the order has shipped.
# contact: customer service / the support team / customer support
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
? How long is the warranty?
? Is there a guarantee on [your products|this]?
? What does the warranty cover?
? My item broke after some months. Is it covered?
?! For how many years are repairs free?
?! Am I covered if it stops working?
= {long1}
! All products have a {long1} warranty.
! The warranty lasts {long1}.
! Our guarantee covers you for {long1}.
+ An extension costs {money1}.
+ Register at {url1}.
# money: gift cards / gift vouchers / gift certificates
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

PLACES = """
# money: admission / the entrance fee / a ticket / adult tickets
? How much is [a ticket|admission|entry|it to get in]?
? What does [entry|a ticket] cost?
? Do children pay [less|full price]?
? Is entry free?
?! What do I pay at the door?
?! How much for one grown-up?
= {money1}, children {money2}
! Admission is {money1} for adults.
! Adults pay {money1} and children {money2}.
! A ticket costs {money1}.
+ Children under {n1} enter free.
+ Families pay {big1}.
# money: the guided tour / tours / a guided tour
? [Do you have|Are there] guided tours?
? When is the [next |]tour?
? How long is the tour?
? What does a guided tour cost?
?! Could someone show us around?
?! Is there a guide who explains things?
= {time1}, {mins1}, {money1}
! Tours start at {time1} and last {mins1}.
! A guided tour costs {money1}.
! Guided tours are every {day1} at {time1}.
+ Groups have up to {n1} people.
+ Meet at {place1}.
# how: appointments / an appointment / booking an appointment
? How do I [make|book|get] an appointment?
? Can I come without an appointment?
? When is the next free appointment?
? How do I cancel an appointment?
?! I need to see someone. How do I arrange it?
?! Where do I reserve a time slot?
= {phone1}
! Call {phone1} to book an appointment.
! Book an appointment at {url1}.
! Appointments can be booked at {url1} or {phone1}.
+ An appointment lasts {mins1}.
+ Cancel at least {dur1} before.
# money: a missed appointment / a no-show / missing an appointment
? What happens if I miss my appointment?
? Is there a fee for [not showing up|a missed appointment]?
?! I forgot to come today. Will you charge me?
?! Does it cost anything when I don't turn up?
= {money1}
! A missed appointment costs {money1}.
! If you miss it we charge {money1}.
+ Cancel {dur1} before to avoid it.
# person: the doctor / the doctor on duty / our physician
? Who is the doctor [today|on duty]?
? Which doctor will I see?
? What is the doctor's name?
?! Who is going to examine me?
?! Tell me which physician treats me.
= Dr. {name1}
! The doctor on duty is Dr. {name1}.
! You will see Dr. {name1}.
+ Office hours are {hours1}.
+ The room is {place1}.
# list: what to bring / documents to bring / required documents
? What [should|do] I [need to |]bring?
? Which documents do I need?
? What do I need for my first visit?
?! What must be in my bag when I come?
?! Which papers are required?
= {things1}
! Please bring {things1}.
! You need {things1}.
+ Arrive {mins1} early.
# dur: test results / lab results / my results
? When do I get my [test |lab |]results?
? How long do results take?
? How do I see my results?
?! Has the laboratory finished, or how long does it need?
?! When can I know what the test says?
= {range1}
! Results are ready in {range1}.
! You get your results after {range1}.
+ You can read them at {url1}.
+ Call {phone1} with questions.
# money: vaccinations / a vaccination / the flu shot
? Do you [give|offer] vaccinations?
? How much is a flu shot?
? When can I get vaccinated?
?! I want protection against flu. What do I pay?
?! On which day do you give jabs?
= {money1}, {day1}
! A flu shot costs {money1}.
! Vaccinations are given on {day1} from {hours1}.
+ No appointment is needed.
+ It takes {mins1}.
# phone: the emergency number / the emergency line / the night line
? What is the emergency number?
? Whom do I call in an emergency?
? Who helps me [at night|after hours]?
?! It's urgent and you're closed. Which number works?
?! Where do I ring when something terrible happens?
= {phone1}
! In an emergency call {phone1}.
! The emergency line is {phone1}.
+ It answers within {mins1}.
# dur: borrowing / the loan period / loans
? How long can I [borrow|keep] a book?
? What is the loan period?
? How many books can I borrow?
? Can I renew my loan?
?! When must the books be back?
?! For how many weeks may I take something home?
= {dur1}, {n1} items
! You can borrow {n1} items for {dur1}.
! The loan period is {dur1}.
+ You can renew {n2} times.
+ Renew at {url1}.
# money: late fees / the late fee / overdue fines
? What [is the fee|happens] if I'm late?
? How much is the late fee?
? Do you charge for overdue [books|items]?
?! I kept it too long. What does that cost?
?! Is there a penalty for bringing it back late?
= {money1} per day
! Late items cost {money1} per day.
! The late fee is {money1} a day, at most {money2}.
+ The first {dur1} are free.
# money: the library card / a new card / a reader card
? How do I get a [library |]card?
? What does a card cost?
? I lost my card. What now?
?! My card is gone; what does another one cost?
?! How do I sign up as a reader?
= {money1}
! A card costs {money1} per year.
! A new card costs {money1}.
+ Get it at {place1}.
+ Children get it free.
# time: check-in / check-in time / arrival
? What time is check-in?
? When can I [check in|get my room]?
? Can I arrive [early|late]?
?! From what time is the room ready?
?! How early may we come to the hotel?
= from {time1}
! Check-in is from {time1}.
! You can check in from {time1} to {time2}.
+ Early check-in costs {money1}.
+ After {time2} use the code {code1}.
# time: check-out / check-out time / departure
? What time is check-out?
? When do I have to leave [my|the] room?
? Can I check out late?
?! By when must we be gone on the last day?
?! Until what hour may I stay in bed on my last morning?
= until {time1}
! Check-out is until {time1}.
! Please leave the room by {time1}.
+ Late check-out costs {money1}.
# time: breakfast / the breakfast buffet / the morning meal
? When is breakfast [served|]?
? Is breakfast included?
? How much is breakfast?
?! What can I eat in the morning and when?
?! Where do I get coffee and rolls after getting up?
= {hours1}, {money1}
! Breakfast is served from {hours1}.
! Breakfast costs {money1} and is served {hours1}.
+ It is in {place1}.
# money: parking / a parking space / the car park
? Is there parking?
? Where can I park?
? How much is parking?
? Do you have a car park?
?! What do I do with my car?
?! Is there somewhere to leave the car, and what does it cost?
= {money1}, {place1}
! Parking costs {money1} per day.
! You can park at {place1} for {money1}.
! Parking is at {place1}.
+ There are {n1} spaces.
# code: the Wi-Fi / Wi-Fi / the internet password
? What is the Wi-Fi password?
? Do you have Wi-Fi?
? How do I get online?
?! My phone needs a network here. Which password?
?! How do I connect to the internet?
= {code1}
! The Wi-Fi password is {code1}.
! Use the password {code1} for Wi-Fi.
+ The network works in {place1}.
# yn: pets / dogs / bringing a pet
? Are [pets|dogs] allowed?
? Can I bring my [dog|cat|pet]?
? What does it cost to bring a dog?
?! My puppy travels with me. Is that fine?
?! May animals come along?
= {yn1}, {money1}
! {yn1}, pets cost {money1} per night.
! {yn1}, but only in {place1}.
+ At most {n1} per guest.
# money: the deposit / a deposit / the security deposit
? Is there a deposit?
? How much is the deposit?
? When do I get my deposit back?
?! Do I leave money as security?
?! How much is kept until I bring it back?
= {big1}, back in {range1}
! The deposit is {big1}.
! We take a deposit of {big1} and return it in {range1}.
+ You get it back within {range1}.
# money: a trial lesson / a trial session / the first class
? Can I try [a class|it] first?
? Is the first lesson free?
? What does a trial lesson cost?
?! I'd like to see if I enjoy it before I sign up.
?! May I test one class?
= {money1}, {mins1}
! A trial lesson costs {money1} and lasts {mins1}.
! The first class costs {money1}.
+ Book it at {url1}.
+ It is held on {day1} at {time1}.
# time: classes / the class schedule / lessons
? When are the classes?
? What days are lessons?
? How long is a class?
? How many people are in a class?
?! On which evening do you teach?
?! When does the group meet?
= {day1}, {time1}, {mins1}
! Classes are on {day1} at {time1}.
! Lessons last {mins1} and start at {time1} on {day1}.
+ A class has up to {n1} people.
+ The teacher is {name1}.
# date: registration / the registration deadline / enrolment / signing up
? When is the registration deadline?
? How do I [register|enrol|sign up]?
? Until when can I sign up?
? What does registration cost?
?! What's the last day to put my name down?
?! Where do I enter my name for the course?
= until {date1}, {money1}
! Register by {date1}.
! Registration is open until {date1} at {url1}.
! Registration costs {money1} and closes on {date1}.
+ There are {n1} places.
# money: tuition / tuition fees / the course fee
? How much is tuition?
? What does the course cost?
? Can I pay [the course|tuition] in parts?
?! What do parents pay for a term?
?! What is the bill for one semester?
= {big1}
! The course costs {big1}.
! Tuition is {big1} per term.
+ You can pay in {n1} parts.
+ Brothers and sisters get {pct1} off.
# date: holidays / holiday closing / the holiday schedule
? When are you closed for holidays?
? Are you open on [Christmas|New Year|public holidays]?
? When do the holidays start?
?! Which days of the year is nobody there?
?! Is anyone working over the festive season?
= {date1} to {date2}
! We are closed from {date1} to {date2}.
! Holidays start on {date1}.
+ We open again on {date2} at {time1}.
# place: the location / your address / where you are
? Where are you [located|]?
? What is your address?
? How do I get to you?
? Which bus goes there?
?! What street do I type into my map?
?! In which building can I find you?
= {place1}
! We are at {place1}.
! You find us at {place1}, {mins1} from the station.
+ Take bus {n1}.
# person: the manager / the person in charge / the head of the house
? Who is the manager?
? Who is in charge?
? Whom do I [ask|complain to]?
?! I want to talk to the boss. What's the name?
?! Who runs this place?
= {name1}
! The manager is {name1}.
! {name1} is in charge.
+ Write to {email1}.
# n: group size / groups / the group limit
? How many people can [come|be in a group]?
? How large can a group be?
? Do groups get a discount?
?! We are a big party. Is there a limit?
?! What's the most people you take at once?
= {n1} people, {pct1} off
! Groups can have up to {n1} people.
! Groups from {n1} people get {pct1} off.
+ Register groups {dur1} ahead.
# money: the room / a room / room rental
? How much is a room?
? What does a room cost per night?
? Can I rent a room [for a meeting|]?
?! What's the nightly rate?
?! We need a space for a party. Price?
= {big1} per night
! A room costs {big1} per night.
! Rooms cost from {big1} and hold {n1} people.
+ Weekends are {pct1} more.
# yn: wheelchair access / accessibility / the lift
? Is it wheelchair accessible?
? Is there a lift?
? Can I come with a wheelchair?
?! I can't climb stairs. Is that a problem?
?! How do people who cannot walk get in?
= {yn1}, {place1}
! {yn1}, the entrance is at {place1}.
! {yn1}, there is a lift at {place1}.
+ Ring {phone1} for help.
# yn: photography / taking photos / filming
? Can I take photos?
? Is photography allowed?
? What does a photo permit cost?
?! May I use my camera inside?
?! Is it okay to film here?
= {yn1}, permit {money1}
! {yn1}, a photo permit costs {money1}.
! {yn1}, but not in {place1}.
+ Flash is not allowed.
# place: lost property / lost and found / a lost item
? I lost something. Where do I ask?
? Where is the lost and found?
? How long do you keep lost items?
?! I left my scarf with you. Who has it?
?! Someone may have found my umbrella. Where is it?
= {place1}, {dur1}
! Lost items are kept at {place1}.
! We keep lost items for {dur1}.
+ Call {phone1}.
# money: lockers / a locker / storing bags
? Do you have lockers?
? Where can I leave my bag?
? What does a locker cost?
?! My suitcase is heavy. Can I put it somewhere?
?! Where may coats and bags stay?
= {money1}, {place1}
! Lockers cost {money1} and are at {place1}.
! A locker costs {money1} per day.
+ The code is {code1}.
# n: the age limit / the minimum age / age rules
? Is there an age limit?
? How old do I have to be?
? Can children come?
?! From which birthday may my son take part?
?! Is my daughter too young?
= {n1}
! The minimum age is {n1}.
! You must be at least {n1} years old.
+ Younger guests need a parent.
# policy: privacy / my data / data protection
? What do you do with my data?
? How long do you keep my data?
? How do I delete my account?
?! Who sees what I type in?
?! I want everything you stored about me erased.
= {dur1}, {email1}
! We keep data for {long1}.
! Write to {email1} to delete your data.
+ Deletion takes {range1}.
# date: the newsletter / the next event / the next sale
? When is the next [event|sale]?
? How do I get the newsletter?
? What is on next?
?! Is anything special coming up?
?! On what day do prices drop again?
= {date1}
! The next event is on {date1} at {time1}.
! The next sale starts on {date1} with {pct1} off.
+ Sign up at {url1}.
"""
